-- The local server's page: who may see it, what it shows and does, and how a browser takes it.

local browse = require "spec.support.browse"
local json = require "daytona.http.json"
local shell = require "daytona.base.shell"

local service, server, dir

setup(function()
  service = require("spec.support.service").start()
  server = service.server
  local pipe = io.popen "mktemp -d"
  dir = pipe:read "*l"
  pipe:close()
end)

teardown(function()
  service:stop()
  os.execute("rm -rf " .. dir)
end)

local function output_of(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function base() return (server.api_url:gsub("/api$", "")) end

-- Body and status of a call; `more` are words for curl.
local function curl(path, more)
  local text = output_of(("curl -s -m 10 -w '\n%%{http_code}' %s '%s%s'"):format(more or "", base(), path))
  local body, status = text:match "^(.*)\n(%d+)$"
  return body, tonumber(status)
end

local function token() return assert(server:page()):match "#(%x+)$" end

local function session_of(given)
  local body, status = curl("/__devserver/page/session",
    "-d " .. shell.quote(json.encode { token = given }))
  return status == 200 and json.decode(body).session or nil, status
end

-- The first thing that a stream says.
local function first_event(path, session)
  local text = output_of(("curl -s -N -m 10 -H 'Authorization: Bearer %s' '%s%s' | head -n 1"):format(
    session, base(), path))
  return json.decode(text:match "^data: (.*)\n")
end

describe("the local server's page", function()
  it("is plain, loads nothing from elsewhere, and says so to the browser", function()
    local body, status = curl("/", "-i")
    assert.equal(200, status)
    assert.truthy(body:find("content-security-policy: default-src 'none'; script-src 'self'", 1, true), body)
    assert.truthy(body:find("<!doctype html>", 1, true))
    for _, name in ipairs { "", "__devserver/page/page.js", "__devserver/page/page.css" } do
      body, status = curl("/" .. name)
      assert.equal(200, status)
      assert.is_nil(body:find "https?://")
      assert.is_nil(body:find "innerHTML")
      assert.is_nil(body:find(server.api_key, 1, true))
    end
  end)

  it("is opened by an address that is good once", function()
    local given = token()
    assert.is_string(session_of(given))
    local none, status = session_of(given)
    assert.is_nil(none)
    assert.equal(401, status)
    assert.equal(401, select(2, session_of "0123456789abcdef"))
    assert.equal(401, select(2, curl "/__devserver/page"))
    local printed = output_of(("env -u DAYTONA_API_KEY sh -c 'bin/daytona-devserver >%s/out & P=$!; "
      .. "until grep -q goes %s/out; do sleep 0.02; done; kill $P; wait $P; cat %s/out'"):format(dir, dir, dir))
    assert.truthy(printed:find "\n# what goes on: http://127%.0%.0%.1:%d+/#%x+\n$", printed)
  end)

  it("tells nothing without its secret, under another name, or to another origin", function()
    local session = session_of(token())
    local with = "-H 'Authorization: Bearer " .. session .. "' "
    for _, path in ipairs { "/events", "/output?sandbox=x", "/delete", "/faults", "/settings" } do
      local method = path == "/settings" and "-X PUT -d {} " or path:find "^/[df]" and "-d {} " or ""
      path = "/__devserver/page" .. path
      assert.equal(401, select(2, curl(path, method)), path)
      assert.equal(401, select(2, curl(path, method .. "-H 'Authorization: Bearer 00ff'")), path)
      for _, odd in ipairs { "-H 'Host: evil.example'", "-H 'Host: 127.0.0.1:1'", "-H 'Origin: https://evil.example'",
        "-H 'Origin: null'" } do
        assert.equal(403, select(2, curl(path, method .. with .. odd)), path .. " " .. odd)
      end
    end
    for _, path in ipairs { "/", "/__devserver/page/page.js" } do
      assert.equal(403, select(2, curl(path, "-H 'Host: evil.example'")))
    end
    assert.equal(401, select(2, curl("/api/sandbox", with)))
    assert.equal(401, select(2, curl("/__devserver/requests", with)))
  end)

  it("shows what there is, and deletes", function()
    local session = session_of(token())
    local box = assert(service.client:create { name = "shown" })
    assert(service.client:request("GET", "/regions"))
    local command = assert(assert(box:session "s"):exec("echo printed; exec sleep 60", { async = true }))
    local state = first_event("/__devserver/page/events", session)
    assert.same({ 1, "shown", "started" }, { #state.sandboxes, state.sandboxes[1].name, state.sandboxes[1].state })
    assert.same({ "echo printed; exec sleep 60", nil },
      { state.sandboxes[1].commands[1].text, state.sandboxes[1].commands[1].exit_code })
    assert.same({ "GET", "/regions", 200 },
      { state.requests[1].method, state.requests[1].path, state.requests[1].status })
    local heard = first_event(("/__devserver/page/output?sandbox=%s&session=s&command=%s"):format(box.id, command.id),
      session)
    assert.equal("printed\n", heard.text)
    local terminal = assert(box:pty { id = "watched" })
    assert(terminal:write "while :; do echo tick; sleep 0.05; done\n")
    heard = first_event(("/__devserver/page/output?sandbox=%s&terminal=watched"):format(box.id), session)
    assert.truthy(heard.text:find("tick", 1, true), heard.text)
    terminal:disconnect()
    local _, status = curl("/__devserver/page/delete",
      ("-H 'Authorization: Bearer %s' -d %s"):format(session, shell.quote(json.encode { sandbox = box.id })))
    assert.equal(204, status)
    assert(box:wait("destroyed"))
  end)
end)

describe("a browser", function()
  it("opens it, follows what goes on, watches output, sets faults, and deletes", function()
    if not browse.program then return pending "Chromium is not here" end
    local box = assert(service.client:create { name = "clicked" })
    local session = assert(box:session "build")
    assert(session:exec("for i in 1 2 3; do echo \"<i>step $i</i>\"; done; exec sleep 60", { async = true }))
    assert(box:popen "python3 -m http.server 8080")
    assert(box:wait_for_port(8080))
    local function click(text)
      return { js = ("[...document.querySelectorAll('button')].filter(b => b.textContent === %q)[0]?.click() ?? 1")
        :format(text) }
    end
    local function shows(text) return { js = ("document.body.innerText.includes(%q)"):format(text) } end
    local values = browse.through(assert(server:page()), dir, {
      shows "clicked", shows "port 8080", shows "for i in 1 2 3", { js = "!location.hash" },
      { js = "document.querySelectorAll('i').length === 0 && document.querySelector('article b').textContent" },
      click "Output", shows "<i>step 3</i>",
      click "Add", shows '"status":503',
      { screenshot = os.getenv "PAGE_SCREENSHOT" or dir .. "/page.png" },
      click "Remove all", { js = "document.querySelector('#faults').children.length === 0" },
      { js = "[...document.querySelectorAll('label')].find(l => l.innerText.includes('lag')).firstChild.click() ?? 1" },
      click "Delete", click "Delete? Click again", { js = "!document.querySelector('article')" },
      { js = "performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))" },
    })
    assert.equal(16, #values, tostring(values[#values]))
    for i, value in ipairs(values) do
      if i == 5 then assert.equal("clicked", value) end
      assert.is_nil(tostring(value):find "^NEVER", tostring(value))
    end
    assert.equal(0, service:sandboxes())
    assert.is_true(first_event("/__devserver/page/events", session_of(token())).switches.lag)
    assert.same({}, assert(server:configure { lag = false }))
  end)
end)
