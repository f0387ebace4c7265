-- The command line: how it is understood, what it says, what completes it.

local commands = require "daytona.cli.commands"

local cli

setup(function() cli = require("spec.support.cli").start() end)
teardown(function() cli:stop() end)

describe("what is typed", function()
  it("is refused in one line where it is not understood, with exit status 2", function()
    for words, reason in pairs {
      ["frob"] = "there is no command frob",
      ["snapshot frob"] = "there is no command snapshot frob",
      ["volume"] = "volume is followed by ls, create, delete",
      ["ls --frob"] = "ls: there is no option --frob",
      ["ls --lable a=b"] = "ls: there is no option --lable (did you mean --label?)",
      ["crate"] = "there is no command crate (did you mean create?)",
      ["snapshot lst"] = "there is no command snapshot lst (did you mean snapshot ls?)",
      ["ls there"] = "ls: takes no argument",
      ["info"] = "info: takes BOX",
      ["info a b"] = "info: takes BOX",
      ["delete"] = "delete: takes BOX...",
      ["exec box"] = "exec: takes BOX -- COMMAND...",
      ["exec box --"] = "exec: takes BOX -- COMMAND...",
      ["create --cpu many"] = "create: --cpu takes a number, not 'many'",
      ["create --env X"] = "create: --env takes NAME=VALUE, not 'X'",
      ["create --name"] = "create: --name needs NAME",
      ["create --public=yes"] = "create: --public takes no value",
      ["create --image a --snapshot b"] = "create: either image or snapshot",
      ["create --language cobol"] = "language",
      ["cp a b"] = "cp: one of the two must be in a sandbox",
      ["cp a:b c:d"] = "cp: one of the two must be in a sandbox",
      ["preview box web"] = "preview: the port is a number, not 'web'",
      ["ls --limit 0.5.1"] = "ls: --limit takes a number",
      ["completion fish"] = "there is one for bash and one for zsh",
      ["help frob"] = "there is no command frob",
    } do
      local out, err, status = cli:run(words)
      assert.equal(2, status, words .. ": " .. err)
      assert.equal("", out)
      assert.truthy(err:find("^daytona%-lua: [^\n]*\n$"), err)
      assert.truthy(err:find(reason, 1, true), words .. ": " .. err)
    end
  end)

  it("may have options with = and before or behind arguments, and -- before what looks like one", function()
    assert.equal("", cli:must "ls --name=nobody --state started --limit 3")
    local _, err, status = cli:run "info --json -- --there"
    assert.equal(1, status)
    assert.truthy(err:find "^daytona%-lua: get on %-%-there: .*not_found", err)
  end)

  it("fails in one line, with exit status 1, where the service or the account is the reason", function()
    local _, err, status = cli:run "info nobody"
    assert.equal(1, status)
    assert.truthy(err:find "^daytona%-lua: get on nobody: [^\n]* %(not_found, 404[^\n]*%)\n$", err)
    for env, kind in pairs {
      ["DAYTONA_API_KEY="] = "config", ["DAYTONA_API_KEY=wrong"] = "auth",
      ["DAYTONA_API_URL=http://127.0.0.1:1/api"] = "connection",
    } do
      _, err, status = cli:run("ls", { env = env })
      assert.equal(1, status)
      assert.truthy(err:find("^daytona%-lua: [^\n]*" .. kind .. "[^\n]*\n$"), err)
      assert.is_nil(err:find(cli.service.server.api_key, 1, true))
    end
  end)
end)

describe("help", function()
  it("names all commands, and what each takes", function()
    local text = cli:must "help"
    assert.equal(text, cli:must "--help")
    assert.equal(text, cli:must "")
    for _, command in ipairs(commands.list) do
      assert.truthy(text:find("\n  " .. command.name .. " ", 1, true), command.name)
    end
    text = cli:must "help snapshot create"
    assert.equal(text, cli:must "snapshot create -h")
    assert.equal(text, cli:must "snapshot create --image x --help")
    assert.truthy(text:find "^usage: daytona%-lua snapshot create %[OPTION%.%.%.%] NAME\n")
    assert.truthy(text:find("\n  --dockerfile FILE ", 1, true))
  end)

  it("fits a terminal, and needs no account", function()
    for _, command in ipairs(commands.list) do
      local text = cli:must("help " .. command.name, { env = "DAYTONA_API_KEY= LUA_CPATH=/nowhere" })
      for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 110, line) end
    end
    assert.equal("daytona-lua " .. require("daytona").version .. "\n", cli:must "--version")
  end)

  it("has a function for every command", function()
    for _, command in ipairs(commands.list) do
      assert.is_function(require("daytona.cli.group." .. command.group)[command.method], command.name)
    end
  end)
end)

describe("completion", function()
  -- What bash would offer for the last of these words.
  local function offered(...)
    local quoted = {}
    for i, word in ipairs { ... } do quoted[i] = "'" .. word .. "'" end
    local script = cli.dir .. "/completion.sh"
    local file = assert(io.open(script, "w"))
    file:write(cli:must "completion bash", "\nCOMP_WORDS=(", table.concat(quoted, " "), ")\n",
      "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_daytona_lua\nprintf '%s ' \"${COMPREPLY[@]}\"\n")
    file:close()
    local pipe = io.popen(("env %s PATH=$PWD/bin:$PATH bash %s 2>&1"):format(cli.account, script))
    local text = pipe:read "*a"
    pipe:close()
    return (text:gsub(" $", ""))
  end

  it("is read by bash, and complete", function()
    assert.equal("start stop sync ssh snapshot", offered("daytona-lua", "s"))
    assert.equal("ls create delete", offered("daytona-lua", "volume", ""))
    assert.equal("--force --missing-ok --wait --timeout --help", offered("daytona-lua", "delete", "--"))
    assert.equal("--dockerfile --disk", offered("daytona-lua", "snapshot", "create", "x", "--d"))
    assert.equal("python", offered("daytona-lua", "create", "--name", "x", "--language", "p"))
    assert.equal("README.md", offered("daytona-lua", "run", "-n", "box", "README"))
    assert.equal("", offered("daytona-lua", "exec", "box", "--", "l"))
  end)

  it("offers names of what there is", function()
    local box = assert(cli.client:create { name = "to-complete" })
    assert.equal("to-complete", offered("daytona-lua", "exec", "--cwd", "/", "to"))
    assert.equal("to-complete", offered("daytona-lua", "delete", "a", "b", ""))
    assert.equal("to-complete:", offered("daytona-lua", "cp", "to-"))
    assert.truthy(offered("daytona-lua", "create", "--snapshot", "daytona-vm"):find "daytona%-vm%-small")
    assert(box:delete { wait = true })
  end)

  it("has a form for zsh, which reads it where it is there", function()
    local script = cli.dir .. "/completion.zsh"
    os.execute(("env %s bin/daytona-lua completion zsh >%s"):format(cli.account, script))
    local pipe = io.popen(("if command -v zsh >/dev/null; then zsh -n %s; else grep -c '^compdef ' %s; fi 2>&1")
      :format(script, script))
    local text = pipe:read "*a"
    pipe:close()
    assert.truthy(text == "" or text == "1\n", text)
  end)
end)
