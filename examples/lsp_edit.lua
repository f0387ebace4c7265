-- Edits a file in a sandbox, and asks a language server there after each edit what it finds
-- wrong: the server runs as a job, and is spoken to over its standard input and output.
--
--   lua5.4 examples/lsp_edit.lua [SERVER]      a Python language server: a command there, or
--                                              a script of this machine, which is taken along

local cjson = require "cjson.safe"
local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local server = arg[1] and arg[1] ~= "" and arg[1] or "pylsp"

  local PROGRAM = "def twice(x):\n  return x * 2\n\nprint(twice(21))\n"

  local EDITS = {
    { old_string = "return x * 2", new_string = "return x *" },
    { old_string = "return x *", new_string = "return 2 * x" },
  }

  local function send(job, message)
    message.jsonrpc = "2.0"
    local text = cjson.encode(message)
    check(job:write(("Content-Length: %d\r\n\r\n%s"):format(#text, text)))
  end

  -- The next message that fn says yes to. What the server asks meanwhile is answered with nothing.
  local function hear(job, fn)
    while true do
      local length
      repeat
        local line, err = job:read("l", { timeout = 60 })
        if not line then error(err or "the server has ended") end
        length = tonumber(line:match "^Content%-Length: (%d+)") or length
      until line == "\r"
      local text = check(job:read(length, { timeout = 60 }))
      local message = check(cjson.decode(text))
      if fn(message) then return message end
      if message.id and message.method then send(job, { id = message.id, result = cjson.null }) end
    end
  end

  local function diagnostics(job, uri, version, text)
    local method = "textDocument/didOpen"
    local document = { uri = uri, version = version, languageId = "python", text = text }
    local params = { textDocument = document }
    if version > 1 then
      method, params.contentChanges = "textDocument/didChange", { { text = text } }
      document.text, document.languageId = nil, nil
    end
    send(job, { method = method, params = params })
    return hear(job, function(message)
      return message.method == "textDocument/publishDiagnostics" and message.params.uri == uri
        and (message.params.version or version) == version
    end).params.diagnostics
  end

  local function tell(what, list)
    print(("%s: %d found"):format(what, #list))
    for _, one in ipairs(list) do print(("  line %d: %s"):format(one.range.start.line + 1, one.message)) end
  end

  daytona.using(check(client:create { language = "python", labels = { example = "lsp_edit" } }), function(sb)
    check(sb.fs:write("program.py", PROGRAM))
    local root = check(sb:work_dir())
    local uri = "file://" .. root .. "/program.py"
    local script = io.open(server)
    if script then
      script:close()
      check(sb.fs:upload(server, "server"))
      server = "python3 " .. root .. "/server"
    elseif check(sb:exec({ "sh", "-c", "command -v " .. server })).exit_code ~= 0 then
      print(server .. " is not in this sandbox: pip install python-lsp-server")
      return
    end
    local job = check(sb:popen(server, { stdin = true }))
    send(job, { id = 1, method = "initialize", params = { rootUri = "file://" .. root, processId = cjson.null,
      capabilities = { textDocument = { publishDiagnostics = { versionSupport = true } } } } })
    hear(job, function(message) return message.id == 1 and not message.method end)
    send(job, { method = "initialized", params = cjson.decode "{}" })

    tell("as it is", diagnostics(job, uri, 1, PROGRAM))
    local tools = daytona.tools("coding", { sandbox = sb })
    for i, edit in ipairs(EDITS) do
      local result = tools:call("edit", {
        path = "program.py", old_string = edit.old_string, new_string = edit.new_string })
      if not result.ok then error(result.text) end
      tell("after edit " .. i, diagnostics(job, uri, i + 1, check(sb.fs:read "program.py")))
    end
    io.write("it prints ", check(sb:exec("python3 program.py", { check = true })).result)
    job:kill()
  end)
end)
