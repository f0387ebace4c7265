-- 5,000 small files to a sandbox of the local server: one by one (a tenth of them,
-- times ten), by `sync`, and by `sync` again when nothing has changed. The trees
-- and the server's state are kept in memory where there is a /dev/shm.
local daytona = require "daytona"
local core = require "daytona.core"
local devserver = require "daytona.devserver"

local FOLDERS, FILES = 50, 100

local pipe = assert(io.popen "test -w /dev/shm && TMPDIR=/dev/shm; mktemp -d ${TMPDIR:+-p $TMPDIR}")
local scratch = assert(pipe:read "*l")
pipe:close()

local function path(i, j) return ("%s/tree/d%d/f%d"):format(scratch, i, j) end
for i = 1, FOLDERS do
  assert(os.execute(("mkdir -p %s/tree/d%d"):format(scratch, i)))
  for j = 1, FILES do
    local file = assert(io.open(path(i, j), "w"))
    file:write(("%d %d\n"):format(i, j):rep(20))
    file:close()
  end
end

-- Files of the last seconds take a longer header; these are as old as files usually are.
assert(os.execute(("find %s/tree -exec touch -d @1700000000 {} +"):format(scratch)))

local function timed(fn)
  local start = core.now()
  fn()
  return core.now() - start
end

local server = assert(devserver.start { dir = scratch .. "/server" })
local fine, why = pcall(function()
  local client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
  local fs = assert(client:create()).fs
  assert(fs:write("warm", ""))
  local single = timed(function()
    for i = 1, FOLDERS / 10 do
      for j = 1, FILES do assert(fs:upload(path(i, j), ("single/d%d/f%d"):format(i, j))) end
    end
  end) * 10
  local first = timed(function() assert(fs:sync(scratch .. "/tree", "tree")) end)
  local nothing = timed(function() assert(assert(fs:sync(scratch .. "/tree", "tree")).uploaded == 0) end)
  print(('{"single":%.6f,"first":%.6f,"nothing":%.6f}'):format(single, first, nothing))
end)
server:stop()
os.execute("rm -rf " .. scratch)
assert(fine, why)
