-- A local server whose disk is full: it says so, and what it has kept it keeps.

local daytona = require "daytona"
local shell = require "daytona.base.shell"
local small_disk = require "spec.support.small_disk"

local ROOT = (debug.getinfo(1, "S").source:match "^@(.*)spec/[^/]*$") or "./"
if ROOT == "" then ROOT = "./" end

local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

describe("a local server on a full disk", function()
  if not small_disk.possible() then return pending "no small file systems here" end

  -- Runs a server twice on one small disk: `fill` fills it, between.
  it("answers 507, keeps the old state, and has every sandbox after a restart", function()
    local dir = run "mktemp -d"
    local script = ([[
      start() { DAYTONA_DEVSERVER_KEY=disk_key_0123456789 %s/bin/daytona-devserver --dir %s/disk --port $1 >%s/out &
        P=$!; until grep -q KEY %s/out; do sleep 0.05; done; }
      : >%s/disk/ballast
      start 0; sed -n 's/.*URL=//p' %s/out >%s/url
      until [ -e %s/fill ]; do sleep 0.02; done
      dd if=/dev/zero of=%s/disk/ballast bs=1k 2>/dev/null; : >%s/full
      until [ -e %s/again ]; do sleep 0.02; done
      kill -INT $P; wait $P; rm -f %s/disk/ballast
      : >%s/out; start 0; sed -n 's/.*URL=//p' %s/out >%s/url2
      until [ -e %s/end ]; do sleep 0.02; done
      kill -INT $P; wait $P]]):gsub("%%s/bin", ROOT .. "bin"):gsub("%%s", dir)
    run(("mkdir %s/disk"):format(dir))
    local server = assert(io.popen(small_disk.command(dir .. "/disk", "2m", script) .. " >" .. dir .. "/log 2>&1", "w"))

    local function wait_for(name)
      for _ = 1, 2000 do
        local file = io.open(dir .. "/" .. name)
        local text = file and file:read "*l"
        if file then file:close() end
        if file and (text or name == "full") then return text end
        daytona.sleep(0.01)
      end
      error(name .. " did not come: " .. run("cat " .. dir .. "/log"))
    end
    local function touch(name) assert(io.open(dir .. "/" .. name, "w")):close() end
    local function connect(url) return daytona.new { api_url = url, api_key = "disk_key_0123456789",
      max_retries = 0 } end

    local client = connect(wait_for "url")
    local box = assert(client:create { name = "precious", labels = { a = "kept" } })
    touch "fill"
    wait_for "full"
    local none, err = client:request("PUT", "/sandbox/precious/labels", { json = { labels = { a = "lost" } } })
    assert.is_nil(none)
    assert.equal(507, err.status)
    assert.equal("kept", assert(client:get "precious").labels.a)
    for _, call in ipairs { { "/sandbox", { name = "new" } }, { "/volumes", { name = "v" } },
      { "/snapshots", { name = "s", imageName = "a:1" } }, { "/secret", { name = "S", value = "v" } } } do
      none, err = client:request("POST", call[1], { json = call[2] })
      assert.is_nil(none)
      assert.equal(507, err.status, call[1])
    end
    assert.equal(404, select(2, client:request("GET", "/sandbox/new")).status)
    client:close()
    touch "again"
    client = connect(wait_for "url2")
    local back = assert(client:get "precious")
    assert.same({ box.id, "kept" }, { back.id, back.labels.a })
    assert(client:request("PUT", "/sandbox/precious/labels", { json = { labels = { a = "changed" } } }))
    client:close()
    touch "end"
    server:close()
    run("rm -rf " .. shell.quote(dir))
  end)
end)

describe("a local server that finds no sense in a state", function()
  it("says so, and leaves the files", function()
    local dir = run "mktemp -d"
    run(("cd %s && mkdir -p sandboxes/broken/home && cd sandboxes/broken && : >state.json && echo x >home/file")
      :format(dir))
    local text = run(("{ %sbin/daytona-devserver --dir %s & P=$!; sleep 0.1; until curl -s -o /dev/null "
      .. "http://127.0.0.1:1 || [ -s %s/key ]; do sleep 0.05; done; sleep 0.3; kill -INT $P; wait $P; } 2>&1"):format(
      ROOT, dir, dir))
    assert.truthy(text:find(dir .. "/sandboxes/broken/state.json", 1, true), text)
    assert.equal("x", run("cat " .. dir .. "/sandboxes/broken/home/file"))
    run("rm -rf " .. shell.quote(dir))
  end)
end)
