-- Small requests in nginx go over its own sockets, with the same rules as anywhere: a
-- scripted service that answers oddly, breaks off, is slow or is not there.
--
-- `scripts/test hosts` runs these specs.

local nginx = require "spec.support.nginx"

local complaints = nginx.complaints

-- A service whose sandboxes answer every command as their name says.
local SERVICE = {
  http = "lua_need_request_body on; keepalive_timeout 1h; keepalive_requests 1000000; lua_shared_dict counts 1m;",
  locations = {
    box = [[location /api/ { content_by_lua_block {
      local name = ngx.var.uri:match "([^/]+)$"
      ngx.print('{"id":"', name, '","name":"', name, '","state":"started","toolboxProxyUrl":"http://127.0.0.1:',
        ngx.var.server_port, '/toolbox"}')
    } }]],
    count = [[ ngx.print(ngx.shared.counts:get(ngx.var.arg_of) or 0) ]],
    command = [[location /toolbox/ { content_by_lua_block {
      local name = ngx.var.uri:match "^/toolbox/([^/]+)"
      if ngx.req.get_body_data():find("emulate", 1, true) then name = "stop " .. name end
      local n = ngx.shared.counts:incr(name, 1, 0)
      local body = '{"exitCode":0,"result":"' .. n .. " " .. ngx.var.connection_requests .. '"}'
      if name == "chunked" then
        for i = 1, #body do ngx.print(body:sub(i, i)) ngx.flush(true) end
      elseif name == "odd" then
        ngx.print('{ "result" : "odd", "exitCode" : 7, "more" : [] }')
      elseif name == "error" then
        ngx.status = 503
        ngx.print '{"message":"not now"}'
      elseif name == "broken" or name == "stale" and n > 1 then
        ngx.req.socket(true):send(name == "broken" and "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" or "")
        ngx.exit(444)
      elseif name == "large" then
        ngx.print(('{"exitCode":0,"result":"%s"}'):format(("x"):rep(300000)))
      elseif name == "slow" then
        ngx.sleep(1000)
      else
        ngx.header["Content-Length"] = #body
        ngx.print(body)
      end
    } }]],
  },
}

local INIT = [[
  daytona = require "daytona"
  loop = require "daytona.loop"
  local boxes = {}
  function box(name)
    boxes[name] = boxes[name] or assert(daytona.get(name))
    return boxes[name]
  end
  function tell(result, err)
    ngx.say(result and result.exit_code .. " " .. result.result or err.kind .. " " .. tostring(err.code))
    return err
  end
  function limited(sandbox, seconds)
    local call = require "daytona.toolbox.exec_call"
    return (select(3, call.send(sandbox, call.body("x", call.rest(600)), seconds)))
  end
]]

describe("small requests in nginx #host", function()
  local service, server

  setup(function() service = nginx.start(SERVICE) end)
  teardown(function() service:stop() end)

  local function start(opts)
    opts.init = INIT
    opts.env = opts.env or {
      DAYTONA_API_URL = "http://127.0.0.1:" .. service.port .. "/api", DAYTONA_API_KEY = "canned", HOME = "/",
    }
    server = nginx.start(opts)
    return server
  end

  local function stop()
    local text = server:stop()
    server = nil
    return text
  end

  after_each(function()
    if server then io.stderr:write(stop():sub(-4000)) end
  end)

  local function asked(name) return tonumber((service:get("/count?of=" .. name))) end

  it("keep their connections, and need no thread", function()
    start { locations = { run = [[
      local sandbox = box "plain"
      for i = 1, 5 do tell(sandbox:exec "x") end
      local list = daytona.map({ 1, 2, 3, 4 }, function() return sandbox:exec "x" end)
      ngx.say(#list)
    ]] } }
    assert.equal("0 1 1\n0 2 2\n0 3 3\n0 4 4\n0 5 5\n4\n", (server:get "/run"))
    assert.equal("", complaints(stop()))
  end)

  it("do not use what is kept beside a line that was silent for too long", function()
    start { locations = { run = [[
      local both = daytona.map({ 1, 2 }, function() return box "pair":exec "x" end)
      ngx.say(#both, " ", limited(box "slow", 1.2).code)
      ngx.say((assert(box "fresh":exec "x").result))
    ]] } }
    assert.equal("2 timeout\n1 1\n", (server:get "/run"))
    stop()
  end)

  it("may be answered in any form", function()
    start { locations = { run = [[
      tell(box "chunked":exec "x")
      tell(box "odd":exec "x")
      local err = tell(box "error":exec "x")
      ngx.say(err.status, " ", err.message:match "not now")
      local large = box "large":exec "x"
      ngx.say(#large.result)
      tell(box "large":exec("x", { max_bytes = 1000 }))
    ]] } }
    assert.equal(table.concat({ "0 1 1", "7 odd", "unavailable nil", "503 not now", "300000",
      "too_large too_large", "" }, "\n"), (server:get "/run"))
    assert.equal(1, asked "error")
    assert.equal("", complaints(stop()))
  end)

  it("are never sent twice: what breaks off says that it was sent", function()
    start { locations = { run = [[
      local err = tell(box "broken":exec "x")
      ngx.say(tostring(err.sent))
      tell(box "stale":exec "x")
      err = tell(box "stale":exec "x")
      ngx.say(tostring(err.sent), " ", err.message:match "may have run")
    ]] } }
    assert.equal("connection truncated\ntrue\n0 1 2\nconnection reset\ntrue may have run\n",
      (server:get "/run"):gsub("0 1 %d", "0 1 2"))
    assert.equal(1, asked "broken")
    assert.equal(2, asked "stale")
    stop()
  end)

  it("end at their deadline and when they are cancelled, and their command with them", function()
    start { locations = { run = [[
      local sandbox = box "slow"
      local from = loop.now()
      tell(nil, limited(sandbox, 0.1))
      local task = daytona.spawn(function() return sandbox:exec "x" end)
      ngx.sleep(0.05)
      task:cancel()
      tell(task:wait())
      tell(daytona.within(0.05, sandbox.exec, sandbox, "x"))
      ngx.say(loop.now() - from < 15 and "soon" or "late")
      tell(box "plain":exec "x")
    ]] } }
    local text = server:get "/run"
    assert.matches("^timeout %w+\ncanceled nil\ntimeout within\nsoon\n0 ", text)
    assert.equal("", complaints(stop()))
  end)

  it("are libcurl's where nginx finds no way, with its words", function()
    start {
      env = { DAYTONA_API_URL = "http://localhost:" .. service.port .. "/api", DAYTONA_API_KEY = "canned", HOME = "/" },
      locations = { run = [[
        local sandbox = box "plain"
        sandbox.toolbox_proxy_url = sandbox.toolbox_proxy_url:gsub("127.0.0.1", "localhost")
        local result = sandbox:exec "x"
        ngx.say(result.exit_code)
        sandbox.toolbox_proxy_url = "http://127.0.0.1:1/toolbox"
        local err = limited(sandbox, 0.2)
        ngx.say(err.kind, " ", err.code, " ", tostring(err.sent))
      ]] },
    }
    assert.equal("0\nconnection connect false\n", (server:get "/run"))
    stop()
  end)

  it("go on while a worker ends, which is not kept from that", function()
    start { locations = { run = [[ tell(box "plain":exec "x") ]] } }
    server:get "/run"
    local old = server:workers()[1]
    server:signal "HUP"
    assert.is_true(server:wait_until(function()
      local list = server:workers()
      return #list == 1 and list[1] ~= old
    end))
    assert.matches("^0 ", (server:get "/run"))
    assert.equal("", complaints(stop()))
  end)
end)
