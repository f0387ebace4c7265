-- What a user gets who passes something wrong or odd: a clear error at the line
-- of the call, before anything is sent; or, where it is merely odd, the right
-- result. Never a crash, never a request other than the one that was meant.

local daytona = require "daytona"
local devserver = require "daytona.devserver"

local server, client, box

setup(function()
  server = assert(devserver.start {})
  client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
  box = assert(client:create { name = "bad input" })
end)

teardown(function()
  client:close()
  server:stop()
end)

-- The call raises a text with these words, at the line in this file from which
-- it was made, and sends nothing.
local function refused(words, fn, ...)
  assert(server:forget_requests())
  local args, n = { ... }, select("#", ...)
  local fine, text = pcall(function()
    local result = fn((table.unpack or unpack)(args, 1, n))
    return result
  end)
  assert.is_false(fine, "not refused: " .. words)
  assert.matches("bad_input_spec%.lua:%d+: ", tostring(text))
  assert.is_truthy(text:find(words, 1, true), text)
  assert.same({}, assert(server:requests()))
end

-- Every call that takes options: how to make it with these, and the name it
-- gives itself.
local WITH_OPTIONS = {
  { "daytona.new", function(o) return daytona.new(o) end },
  { "create", function(o) return client:create(o) end },
  { "list", function(o) return client:list(o) end },
  { "each", function(o) return client:each(o) end },
  { "start", function(o) return box:start(o) end },
  { "stop", function(o) return box:stop(o) end },
  { "delete", function(o) return box:delete(o) end },
  { "start", function(o) return client:start(box.id, o) end },
  { "refresh", function(o) return box:refresh(o) end },
  { "wait", function(o) return box:wait("started", o) end },
  { "exec", function(o) return box:exec("true", o) end },
  { "run", function(o) return box:run("1", o) end },
  { "upload", function(o) return box.fs:upload({ data = "x" }, "x", o) end },
  { "write", function(o) return box.fs:write("x", "x", o) end },
  { "download", function(o) return box.fs:download("x", "/nonexistent/x", o) end },
  { "read", function(o) return box.fs:read("x", o) end },
  { "list", function(o) return box.fs:list("x", o) end },
  { "mkdir", function(o) return box.fs:mkdir("x", o) end },
  { "remove", function(o) return box.fs:remove("x", o) end },
  { "clone", function(o) return box.git:clone("https://h/r", "r", o) end },
  { "request", function(o) return client:request("GET", "/config", o) end },
}

describe("an option", function()
  for _, row in ipairs(WITH_OPTIONS) do
    local name, call = row[1], row[2]
    it("that " .. name .. " does not know is refused, with those there are", function()
      refused(name .. ": unknown option 'colour'; the options are: ", call, { colour = "blue" })
      refused(name .. ": options are named, but there is [1]", call, { "blue" })
      refused(name .. ": options must be a table", call, "blue")
      refused(name .. ": options must be a table", call, name == "wait" or 5) -- seconds alone will do there
    end)
  end

  it("of the wrong type is refused by every call that knows it", function()
    local wrong = { timeout = "soon", env = { A = {} }, cwd = 5, check = "yes", wait = 1, force = "no", labels = "x",
      idle_timeout = {}, max_bytes = 0, on_progress = 1, depth = 1.5, branch = 5, password = {}, argv = { {} },
      stdin = 5, limit = 201, states = 5, length = -1, recursive = 1, query = 1, headers = { 1 } }
    local seen = 0
    for _, row in ipairs(WITH_OPTIONS) do
      for option, value in pairs(wrong) do
        local fine, text = pcall(row[2], { [option] = value })
        assert.is_false(fine, row[1] .. " takes " .. option)
        if not text:find("unknown option", 1, true) then
          assert.is_truthy(text:find(row[1] .. ": option '" .. option .. "' must be ", 1, true), text)
          seen = seen + 1
        end
      end
    end
    assert.is_true(seen > 50)
  end)

  it("that is no number of seconds is refused", function()
    for _, value in ipairs { -1, 1 / 0, 0 / 0 } do
      for _, row in ipairs(WITH_OPTIONS) do
        if row[1] ~= "mkdir" and row[1] ~= "remove" and row[1] ~= "list" and row[1] ~= "each" then
          refused(row[1] .. ": option 'timeout' must be seconds", row[2], { timeout = value })
        end
      end
    end
  end)

  it("that is given is not changed", function()
    local opts = setmetatable({ env = { A = "1" }, timeout = 5 }, { __newindex = function() error "changed" end })
    assert(box:exec("true", opts))
    assert(box:run("1", opts))
    assert.same({ env = { A = "1" }, timeout = 5 }, opts)
  end)
end)

describe("what newcomers write", function()
  it("is refused with what they mean", function()
    refused("create: unknown option 'resources' (did you mean 'cpu', 'memory', 'disk'?)",
      function() return client:create { resources = { cpu = 2 } } end)
    refused("create: unknown option 'envVars' (did you mean 'env'?)",
      function() return client:create { envVars = { A = "1" } } end)
    refused("exec: unknown option 'workdir' (did you mean 'cwd'?)",
      function() return box:exec("pwd", { workdir = "/" }) end)
    refused('exec: option \'timeout\' must be seconds, 0 or more, not the string "5"',
      function() return box:exec("pwd", { timeout = "5" }) end)
    refused('chmod: the change must be octal digits, as "0755", or a table, not 755',
      function() return box.fs:chmod("x", 755) end)
    refused('sleep: the time must be seconds, 0 or more, not the string "0.1"', daytona.sleep, "0.1")
    refused("sleep: the time must be seconds, 0 or more, not nil", daytona.sleep)
  end)
end)

describe("an argument", function()
  it("of the wrong type, or absent, is refused", function()
    for _, value in ipairs { 5, true, {}, "" } do
      refused("get: the id or name must be", client.get, client, value)
      refused("attach: the id must be", client.attach, client, value)
      refused("start takes a sandbox or its id", client.start, client, value)
      refused("run: code must be", box.run, box, value)
      refused("read: the path must be", box.fs.read, box.fs, value)
      refused("list: the path must be", box.fs.list, box.fs, value)
      refused("upload: the destination must be", box.fs.upload, box.fs, { data = "" }, value)
      refused("download: the path must be", box.fs.download, box.fs, value, "/nonexistent/x")
      refused("clone: the URL must be", box.git.clone, box.git, value)
    end
    refused("get: the id or name must be", client.get, client)
    refused("upload: the source must be", box.fs.upload, box.fs, 5, "x")
    refused("upload: the source must be", box.fs.upload, box.fs, {}, "x")
    refused("write: the data must be", box.fs.write, box.fs, "x", 5)
    refused("write: the path names a folder", box.fs.write, box.fs, "x/", "")
    refused("download: the target must be", box.fs.download, box.fs, "x", {})
    refused("username and password go together", box.git.clone, box.git, "https://h/r", "r", { username = "u" })
  end)

  it("that is no command is refused", function()
    for _, command in ipairs { "", "  \n\t ", {}, { "" }, { "ls", true }, { { "ls" } }, 5, true } do
      refused("exec: ", box.exec, box, command)
    end
    refused("exec: ", box.exec, box)
  end)

  it("with a NUL byte is refused wherever the service would end the text there", function()
    refused("NUL", box.exec, box, "echo a\0b")
    refused("NUL", box.exec, box, { "echo", "a\0b" })
    refused("NUL", box.exec, box, "true", { cwd = "/\0" })
    refused("NUL", box.exec, box, "true", { env = { A = "a\0b" } })
    refused("NUL", box.run, box, "1", { argv = { "a\0b" } })
    refused("NUL", box.fs.read, box.fs, "a\0b")
    refused("NUL", box.fs.write, box.fs, "a\0b", "")
    refused("NUL", box.fs.list, box.fs, "a\0b")
    refused("NUL", box.fs.upload, box.fs, { data = "" }, "a\0b")
    refused("NUL", box.fs.upload, box.fs, "a\0b", "x")
    refused("NUL", box.fs.download, box.fs, "a\0b", "/nonexistent/x")
    refused("NUL", box.fs.download, box.fs, "x", "/nonexistent/a\0b")
    refused("control characters", box.git.clone, box.git, "https://h/r", "a\0b")
    refused("control characters", box.git.clone, box.git, "https://h/r\r\nX: y")
  end)

  it("with a NUL byte is otherwise what it is", function()
    assert(box.fs:write("nul", "a\0b"))
    assert.equal("a\0b", (assert(box.fs:read "nul")))
    assert.equal("3\n", assert(box:exec("wc -c", { stdin = "a\0b" })).result)
    local none, err = client:get "a\0b"
    assert.is_nil(none)
    assert.is_true(err.kind == "not_found" or err.kind == "invalid", tostring(err))
  end)

  it("with a line break never becomes a header", function()
    for _, value in ipairs { "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b" } do
      local response, err = client:request("GET", "/config", { headers = { ["X-Own"] = value } })
      assert.is_nil(response)
      assert.equal("invalid", err.kind)
      response, err = client:request("GET", "/config", { headers = { [value] = "x" } })
      assert.is_nil(response)
      assert.equal("invalid", err.kind)
      local made, why
      local fine, text = pcall(function() made, why = daytona.new { api_key = value } end)
      assert.is_true(not fine or (made == nil and why.kind == "config"), tostring(text))
      fine, text = pcall(function()
        made, why = daytona.new { jwt_token = "j", organization_id = value }
      end)
      assert.is_true(not fine or (made == nil and why.kind == "config"), tostring(text))
      fine, text = pcall(function() made, why = daytona.new { api_key = "k", user_agent = value } end)
      assert.is_true(not fine or made == nil, tostring(text))
    end
  end)
end)

describe("a call", function()
  it("with a dot in place of the colon is refused", function()
    local objects = {
      client = client, sandbox = box, ["sandbox.fs"] = box.fs, ["sandbox.git"] = box.git,
      ["sandbox.interpreter"] = box.interpreter, ["sandbox.computer"] = box.computer,
      ["sandbox.computer.mouse"] = box.computer.mouse, server = box:lsp("python", "."),
    }
    local calls = {
      client = { "create", "list", "get", "delete", "close" },
      sandbox = { "exec", "run", "popen", "pty", "session", "refresh", "delete", "close", "preview_url", "set_env" },
      ["sandbox.fs"] = { "read", "write", "upload", "list", "sync", "open" }, ["sandbox.git"] = { "clone", "status" },
      ["sandbox.interpreter"] = { "run", "contexts" }, ["sandbox.computer"] = { "start", "processes" },
      ["sandbox.computer.mouse"] = { "click" }, server = { "start", "completions" },
    }
    for usage, names in pairs(calls) do
      for _, name in ipairs(names) do
        local words = name .. " is a method: call it as " .. usage .. ":" .. name .. "(...), with a colon"
        refused(words, objects[usage][name])
        refused(words, objects[usage][name], "x", {})
        refused(words, objects[usage][name], "x", "y")
        refused(words, objects[usage][name], {})
        refused(words, objects[usage][name], daytona)
      end
    end
  end)

  it("with a colon in place of the dot is refused", function()
    refused("daytona.new is a function: call it with a dot", daytona.new, daytona, {})
    refused("list is a function: call it with a dot", client.list, client, daytona)
  end)

  it("of using without something to close, or something to call, is refused", function()
    refused("using: a table has no close method", daytona.using, {}, print)
    refused("using: a string has no close method", daytona.using, "x", print)
    local closed = 0
    refused("using: a function expected, got nil", daytona.using, { close = function() closed = closed + 1 end })
    assert.equal(0, closed) -- a wrong call leaves the object alone
  end)

  it("of upload whose source gives something else than strings is refused", function()
    for _, chunk in ipairs { {}, 5, true } do
      local fine, text = pcall(box.fs.upload, box.fs, function() return chunk end, "x")
      assert.is_false(fine)
      assert.matches("upload: the source returned a " .. type(chunk), text)
    end
  end)
end)

describe("a deleted sandbox", function()
  it("says so, at once, in every call", function()
    local gone = assert(client:create {})
    assert(gone:exec "true")
    assert(gone:delete())
    assert.equal("destroying", gone.state)
    for _, call in ipairs {
      function() return gone:exec "true" end, function() return gone.fs:read "x" end,
      function() return gone:popen "true" end, function() return gone:pty {} end,
      function() return gone:session "x" end, function() return gone.interpreter:run "1" end,
      function() return gone.git:status "x" end,
    } do
      local none, err = call()
      assert.is_nil(none)
      assert.equal("not_found", err.kind)
      assert.matches("the sandbox is deleted", tostring(err))
    end
    assert(gone:delete())
  end)
end)

describe("an odd name", function()
  local NAMES = { "a/b", "a b", "ünïcödé ✓", "a?b=c&d#e", "100%41", "..", "a+b", "'quoted'", "{}", "%2e%2e/x" }

  it("of a sandbox is that name in every call", function()
    for _, name in ipairs(NAMES) do
      local made, err = client:create { name = name }
      assert(made, name .. ": " .. tostring(err))
      assert.equal(name, made.name)
      assert.equal(made.id, assert(client:get(name)).id, name)
      local page = assert(client:list { name = name })
      assert.equal(1, #page.items)
      assert.equal(made.id, page.items[1].id)
      assert(made:delete { wait = true })
    end
  end)

  it("of a file is that name in every call", function()
    for _, name in ipairs(NAMES) do
      if name ~= ".." then
        local path = "odd/" .. name
        assert(box.fs:write(path, name))
        assert.equal(name, (assert(box.fs:read(path))))
        assert.equal(name, assert(box:exec { "cat", path }).result)
      end
    end
    local seen = {}
    for _, entry in ipairs(assert(box.fs:list "odd")) do seen[entry.name] = true end
    for _, name in ipairs(NAMES) do
      if not name:find("/", 1, true) and name ~= ".." then assert.is_true(seen[name], name) end
    end
  end)

  it("of a file that is no UTF-8 is that name, or an error that says so", function()
    local fine, info, err = pcall(function() return box.fs:write("odd/\255\254", "bytes") end)
    if not fine then
      assert.matches("UTF%-8", tostring(info))
    elseif info then
      assert.equal("bytes", assert(box:exec "cat odd/$(printf '\\377\\376')").result)
      assert.equal("bytes", (assert(box.fs:read "odd/\255\254")))
    else
      assert.equal("invalid", err.kind)
    end
  end)
end)

describe("odd content", function()
  it("of labels comes back as it was, or is refused by field", function()
    local labels = {
      ["with space"] = "a b", ["ünï"] = "✓ \" ' \\ & %", empty = "", ["a.b/c"] = "{}[]", tab = "a\tb\nc",
    }
    local made = assert(client:create { labels = labels })
    for name, value in pairs(labels) do assert.equal(value, assert(client:get(made.id)).labels[name], name) end
    local page = assert(client:list { labels = labels })
    assert.equal(1, #page.items)
    assert(made:set_labels { ["ünï"] = "other" })
    assert.equal("other", assert(client:get(made.id)).labels["ünï"])
    assert(made:delete { wait = true })
    refused("labels.team: not valid UTF-8", client.create, client, { labels = { team = "\255" } })
    refused("not valid UTF-8", client.create, client, { labels = { ["\255"] = "x" } })
    refused("not valid UTF-8", client.list, client, { labels = { team = "\255" } })
    refused("option 'labels' must be a table of strings by name", client.create, client, { labels = { "x" } })
  end)

  it("of an environment reaches the command byte for byte", function()
    local env = { A = "it's \"x\" $HOME `id` \\ \n end ", B = "", C = "\255\1\127", D = ("x"):rep(100000) }
    local r = assert(box:exec("printf '%s|' \"$A\" \"$B\"; printf %s \"$C\" | od -An -tx1; printf %s \"$D\" | wc -c",
      { env = env }))
    assert.equal(env.A .. "|" .. env.B .. "| ff 01 7f\n100000\n", r.result)
    for _, name in ipairs { "", "1A", "A B", "A=B", "A\nB", "ü" } do
      refused("cannot be the name of an environment variable", box.exec, box, "true", { env = { [name] = "x" } })
    end
  end)

  it("of more than two megabytes runs as a command, and as code", function()
    local filler = ("# " .. ("x"):rep(97) .. "\n"):rep(22000)
    assert.equal("end\n", assert(box:exec(filler .. "echo end")).result)
    assert.equal("end\n", assert(box:run(filler .. "print('end')")).result)
  end)

  it("of code that is no UTF-8 is refused at the call", function()
    refused("UTF-8", box.run, box, "print('\255')")
  end)
end)
