-- Memory and CPU of many quiet things: tasks that wait, kept connections, terminals and follows,
-- against a scripted daemon (bench/c/many.c) in a process of its own.
--
--   lua5.4 bench/many.lua [LUA] [COUNT...]      after make; lua5.4, and 10 100 1000 10000
--
-- Prints for each bytes of resident memory (what the opening needed for a moment included) and, of
-- terminals and follows, CPU time of a chunk of 100 bytes, of 200,000 in all, in rounds: 20 chunks
-- come to each together, and then one alone.

local lua = arg[1] or "lua5.4"
local counts = { table.unpack(arg, 2) }
if not counts[1] then counts = { "10", "100", "1000", "10000" } end

local output = dofile("bench/tools.lua").output

assert(os.execute "mkdir -p build/bench && ${CC:-cc} -O2 -o build/bench/many bench/c/many.c -lcrypto")
local dir = output "mktemp -d"

-- The daemon reads from a pipe what the client says to it.
local RUN = [[ulimit -n $(ulimit -Hn); mkfifo %s/in && { build/bench/many <%s/in >%s/port & exec 9>%s/in; }
until [ -s %s/port ]; do sleep 0.02; done
timeout 300 env LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;" LUA_CPATH="$PWD/build/%s/?.so;;" \
  %s bench/lua/many.lua $(cat %s/port) %s %s >&9; exec 9>&-; wait; rm %s/in %s/port]]

print "| what | how many | bytes each | CPU of a chunk of 20 | of one alone |"
print "| --- | ---: | ---: | ---: | ---: |"
io.stdout:flush()
for _, kind in ipairs { "tasks", "connections", "terminals", "follows" } do
  for _, n in ipairs(counts) do
    os.execute(RUN:format(dir, dir, dir, dir, dir, lua, lua, dir, kind, n, dir, dir))
  end
end
os.execute("rm -r " .. dir)
