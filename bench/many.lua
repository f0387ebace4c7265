-- Memory and CPU of many quiet things: tasks that wait, kept connections, terminals and follows,
-- against a scripted daemon (bench/c/many.c) in a process of its own, without TLS and with it.
--
--   lua5.4 bench/many.lua [LUA] [COUNT...]      after make; lua5.4, and 10 100 1000 10000
--
-- Prints for each bytes of resident memory (what the opening needed for a moment included) and, of
-- terminals and follows, CPU time of a chunk of 100 bytes, of CHUNKS (from the environment; 200,000)
-- in all, in rounds: 20 chunks come to each together, and then one alone.

local lua = arg[1] or "lua5.4"
local counts = { table.unpack(arg, 2) }
if not counts[1] then counts = { "10", "100", "1000", "10000" } end
local chunks = os.getenv "CHUNKS" or "200000"

local output = dofile("bench/tools.lua").output

-- Each needs a descriptor on either side.
local most = tonumber((output "ulimit -Hn")) or math.huge

assert(os.execute "mkdir -p build/bench && ${CC:-cc} -O2 -o build/bench/many bench/c/many.c -lssl -lcrypto")
local dir = output "mktemp -d"
local CERTIFICATE = [[cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key -out ca 2>openssl.log && cat key ca >pem]]
assert(os.execute(CERTIFICATE:format(dir)))

-- The daemon reads from a pipe what the client says to it.
local RUN = [[ulimit -n $(ulimit -Hn); cd %s && rm -f in port && mkfifo in && cd "$OLDPWD" || exit
{ build/bench/many %s <%s/in >%s/port & exec 9>%s/in; }
until [ -s %s/port ]; do sleep 0.02; done
timeout 300 env LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;" LUA_CPATH="$PWD/build/%s/?.so;;" \
  %s bench/lua/many.lua $(cat %s/port) %s %s %s %s 2>&1 >&9 || echo "| %s | %s | failed | | |"; exec 9>&-; wait]]

local function measure(kind, n, tls)
  if tonumber(n) + 64 > most then
    return print(("| %s | %s | skipped: %d descriptors at most | | |"):format(kind, n, most))
  end
  os.execute(RUN:format(dir, tls and dir .. "/pem" or "", dir, dir, dir, dir, lua, lua, dir, kind, n, chunks,
    tls and dir .. "/ca" or "", kind, n))
end

print "| what | how many | bytes each | CPU of a chunk of 20 | of one alone |"
print "| --- | ---: | ---: | ---: | ---: |"
io.stdout:setvbuf "no"
for _, kind in ipairs { "tasks", "connections", "terminals", "follows" } do
  for _, n in ipairs(counts) do measure(kind, n) end
end
for _, kind in ipairs { "connections", "terminals", "follows" } do
  for _, n in ipairs(counts) do measure(kind, n, true) end
end
os.execute("rm -r " .. dir)
