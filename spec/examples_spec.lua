-- The examples, run as they stand, against a local server.

local name = require("daytona.base.compat").name

local LUA = ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/%s/?.so;;' %%s %s examples/%%s.lua %%s 2>&1")
  :format(name, name)

local service

setup(function() service = require("spec.support.service").start() end)
teardown(function() service:stop() end)

-- What an example prints; fails when it ends otherwise than with that status, or 0.
local function run(example, arguments, status)
  local server = service.server
  local account = ("DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s'"):format(server.api_url, server.api_key)
  local pipe = io.popen(LUA:format(account, example, arguments or "") .. "; echo status $?")
  local text = pipe:read "*a"
  pipe:close()
  assert.equal(tostring(status or 0), text:match "status (%d+)\n$", text)
  return text
end

describe("the example", function()
  after_each(function() assert.equal(0, service:sandboxes()) end)

  it("quickstart shows a sandbox from its start to its end", function()
    local text = run "quickstart"
    for _, line in ipairs {
      "created    sandbox %(lua%-%x+, started%)", "a command  Linux daytona /%S+ %(exit code 0%)",
      "arguments  %[arguments need%] %[no 'quoting'%]", "says 5050 %['%$HOME stays as it is'%]",
      "uploaded   work/quickstart.lua, %d+ bytes", "downloaded notes.txt, 15 bytes", "%-rw.* notes.txt",
      "cloned     into copy: %x+ first", "an error   read on no/such/file: .* %(not_found, 404, FILE_NOT_FOUND%)",
      "deleted",
    } do assert.truthy(text:find(line), line .. "\n" .. text) end
  end)

  it("quickstart starts a server of its own where there is no key", function()
    local pipe = io.popen(LUA:format("env -u DAYTONA_API_KEY -u DAYTONA_API_URL", "quickstart", ""))
    local text = pipe:read "*a"
    pipe:close()
    assert.truthy(text:find("using a local server", 1, true), text)
    assert.truthy(text:find("the sandbox is gone", 1, true), text)
  end)

  for _, file in ipairs {
    "claude_desktop_config", "claude_code.mcp", "cursor.mcp", "vscode.mcp", "zed.settings", "gemini.settings",
  } do
    it("mcp/" .. file .. ".json starts a server with tools", function()
      local text = assert(io.open("examples/mcp/" .. file .. ".json")):read "*a"
      local config = assert(require("daytona.http.json").decode(text))
      local server = (config.mcpServers or config.servers or config.context_servers).daytona
      assert.truthy(server.command:find "daytona%-mcp$")
      assert.is_string(server.env.DAYTONA_API_KEY)
      local mcp = require("spec.support.mcp_client").start(service.server, table.concat(server.args, " "))
      mcp:initialize()
      local tools = mcp:ask("tools/list").result.tools
      assert.equal("", mcp:stop())
      assert.equal("bash", tools[1].name)
    end)
  end

  it("lsp_edit hears of what is wrong after each edit", function()
    local text = run("lsp_edit", "$PWD/spec/support/bin/pylsp")
    assert.truthy(text:find("as it is: 0 found\nafter edit 1: 1 found\n  line 2: invalid syntax\n"
      .. "after edit 2: 0 found\nit prints 42\n", 1, true), text)
    assert.truthy(run("lsp_edit", "no-such-server"):find "not in this sandbox")
  end)

  it("parallel uses many sandboxes at once", function()
    local text = run("parallel", "4")
    for i = 1, 4 do assert.truthy(text:find(("%d squared is %d\n"):format(i, i * i), 1, true), text) end
  end)

  it("live shows output as it is printed", function()
    local text = run "live"
    for _, line in ipairs {
      "job      line 3", "job      ended: exit 0", "sorted   9 10 100", "stdout   hello from /tmp", "stderr   oops",
      "session  exit code 1",
    } do assert.truthy(text:find(line, 1, true), text) end
  end)

  it("files moves files both ways", function()
    local text = run "files"
    assert.truthy(text:find("200000 lines", 1, true), text)
    assert.truthy(text:find("first line line 1 / ", 1, true), text)
    assert.is_nil(text:find("left a file", 1, true))
  end)

  it("charts keeps pictures, or says what is missing", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local can_draw = os.execute "python3 -c 'import matplotlib' 2>/dev/null"
    local text = run("charts", folder, (can_draw == true or can_draw == 0) and 0 or 1)
    local picture = io.open(folder .. "/chart-1.png", "rb")
    if picture then
      assert.equal("\137PNG", picture:read(4))
      picture:close()
    end
    os.execute("rm -rf " .. folder)
    assert.truthy(picture or text:find("No module named 'matplotlib'", 1, true), text)
  end)

  it("agent solves a task with a scripted model", function()
    local service_env = ("DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s'"):format(service.server.api_url,
      service.server.api_key)
    local pipe = io.popen(("env -u OPENAI_API_KEY -u ANTHROPIC_API_KEY %s PAUSE=0 LUA=%s LUA_PATH='./lua/?.lua;"
      .. "./lua/?/init.lua;;' LUA_CPATH='./build/%s/?.so;;' scripts/demo-agent 2>&1"):format(service_env, name, name))
    local text = pipe:read "*a"
    pipe:close()
    for _, line in ipairs { "AssertionError: [2, 3, 4]", "changed 1 place", "> bash", "It works. It printed:\n"
      .. "primes below 30: 2 3 5 7 11 13 17 19 23 29\n", "[end: 5 steps, 150 tokens written]" } do
      assert.truthy(text:find(line, 1, true), text)
    end
  end)

  it("repository_check ends as the tests of the repository do", function()
    local text = run "repository_check"
    assert.truthy(text:find("checking %x+ sample\n1..2\nok 1\nok 2\npassed %(exit code 0%)\n"), text)
  end)

  it("data_analysis prints numbers, and keeps charts where they can be drawn", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local text = run("data_analysis", "'' " .. folder)
    local picture = io.open(folder .. "/analysis-1.png", "rb")
    if picture then picture:close() end
    os.execute("rm -rf " .. folder)
    assert.truthy(text:find("6 rows, mean 56.8, deviation 18.8\nmost: Jun\n", 1, true), text)
    assert.truthy(picture or text:find("no matplotlib here", 1, true), text)
  end)

  it("long_task is begun by one program and seen to its end by another", function()
    local id = run("long_task", "begin"):match "^(%S+)\n"
    assert.equal(1, service:sandboxes())
    local text = run("long_task", "watch " .. id)
    local log = {}
    for i = 1, 5 do log[i] = ("step %d of 5\n"):format(i) end
    assert.truthy(text:find(table.concat(log) .. "ended: exit 0\nresult 42\n", 1, true), text)
  end)

  it("preview shows a page at an address for browsers", function()
    local folder = os.tmpname()
    os.remove(folder)
    -- Enter comes when the page was seen.
    local fetch = ("sh -c 'mkfifo %s; exec 3<>%s; rm %s; \"$@\" <&3 | { read -r open url; echo $open; "
      .. "curl -s $url/index.html; echo >&3; cat; }' sh "):format(folder, folder, folder)
    local server = service.server
    local pipe = io.popen(LUA:format(("DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s' %s"):format(server.api_url,
      server.api_key, fetch), "preview", "'' " .. ("%d"):format(require("spec.support.ports").free())))
    local text = pipe:read "*a"
    pipe:close()
    assert.truthy(text:find("open\n<h1>hello from a sandbox</h1>\n", 1, true), text)
  end)

  it("evaluate judges many programs at once", function()
    local text = run("evaluate", "10 2")
    assert.truthy(text:find("10 of 10", 1, true), text)
    assert.truthy(text:find("5 right, 3 wrong, 2 failed", 1, true), text)
  end)

  -- Its text, its exit status; it is struck once there is a sandbox.
  local function struck(words, signal)
    local server = service.server
    local pipe = io.popen(("{ DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s' LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' "
      .. "LUA_CPATH='./build/%s/?.so;;' timeout 60 %s examples/%s >/dev/null 2>%s & "
      .. "echo $!; wait $!; echo status $?; }"):format(server.api_url, server.api_key, name, name, words, service.said))
    local pid = pipe:read "*l"
    for _ = 1, 500 do
      if service:sandboxes() > 0 then break end
      os.execute "sleep 0.02"
    end
    os.execute(("kill -%s %s"):format(signal, pid))
    local status = pipe:read("*a"):match "status (%d+)"
    pipe:close()
    local file = assert(io.open(service.said))
    local text = file:read "*a"
    file:close()
    return text, tonumber(status)
  end

  it("that a signal ends says no more, and ends as shells expect", function()
    service.said = os.tmpname()
    local signals = { "TERM", "INT", "HUP" }
    for i, words in ipairs { "quickstart.lua", "files.lua", "live.lua", "charts.lua", "data_analysis.lua",
      "desktop.lua", "evaluate.lua", "lsp_edit.lua", "preview.lua", "repository_check.lua", "parallel.lua" } do
      local signal = signals[i % 3 + 1]
      local text, status = struck(words, signal)
      assert.is_nil(text:find("traceback", 1, true), words .. ": " .. text)
      assert.is_nil(text:find("interrupted", 1, true), words .. ": " .. text)
      assert.equal(({ TERM = 143, INT = 130, HUP = 129 })[signal], status, words .. ": " .. text)
      assert.equal(0, service:sandboxes())
    end
    os.remove(service.said)
  end)

  it("that SIGTERM ends leaves nothing", function()
    local begin = { "parallel.lua 3", "live.lua", "evaluate.lua 40 3" }
    local expected = 7
    for _, host in ipairs { "luv", "cqueues" } do
      if pcall(require, host) then
        begin[#begin + 1] = host .. ".lua"
        expected = expected + 1
      end
    end
    local server, lines = service.server, {}
    for i, words in ipairs(begin) do lines[i] = ("%s examples/%s >/dev/null 2>&1 & echo $!"):format(name, words) end
    local pipe = io.popen(("export DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s' LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' "
      .. "LUA_CPATH='./build/%s/?.so;;'; %s\nwait"):format(server.api_url, server.api_key, name,
      table.concat(lines, "\n")))
    local pids = {}
    for i = 1, #begin do pids[i] = pipe:read "*l" end
    local most = 0
    for _ = 1, 200 do
      most = math.max(most, service:sandboxes())
      if most >= expected then break end
      os.execute "sleep 0.02"
    end
    os.execute("kill -TERM " .. table.concat(pids, " ") .. " 2>/dev/null")
    pipe:read "*a"
    pipe:close()
    assert.is_true(most > 3)
    assert.equal(0, service:sandboxes())
  end)

  it("desktop keeps pictures, or says that there is no desktop", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local text = run("desktop", folder)
    local picture = io.open(folder .. "/after.png", "rb")
    if picture then
      assert.equal("\137PNG", picture:read(4))
      picture:close()
    end
    os.execute("rm -rf " .. folder)
    assert.truthy(picture or text:find("no desktop here", 1, true), text)
  end)
end)
