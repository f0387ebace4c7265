-- The command line: sandboxes, snapshots and volumes.

local json = require "daytona.http.json"

local cli

setup(function() cli = require("spec.support.cli").start() end)
teardown(function() cli:stop() end)

local function decoded(words)
  return assert(json.decode(cli:must(words)))
end

describe("sandboxes", function()
  it("go from create to delete, by the name that create prints", function()
    local name = cli:must("create --env A=1 --env B=x=y --label who=me --auto-stop 5 --auto-delete -1")
    name = name:match "^(%S+)\n$"
    local box = assert(cli.client:get(name))
    assert.same({ "1", "x=y", "me", 5, -1 },
      { box.env.A, box.env.B, box.labels.who, box.auto_stop_interval, box.auto_delete_interval })
    assert.equal("", cli:must("stop " .. name))
    assert.equal("stopped", assert(box:refresh()).state)
    assert.equal("", cli:must("start " .. name))
    assert.equal("started", assert(box:refresh()).state)
    assert.equal("", cli:must("delete --wait " .. name))
    local none, err = cli.client:get(name)
    assert.is_nil(none)
    assert.equal("not_found", err.kind)
  end)

  it("are told as JSON as the service tells them", function()
    local made = decoded "create --json --name told --label a=b"
    assert.equal("told", made.name)
    assert.equal("started", made.state)
    assert.equal("b", made.labels.a)
    assert.equal(made.id, decoded("info --json told").id)
    local list = decoded "ls --json --label a=b"
    assert.same({ 1, "told" }, { #list, list[1].name })
    assert.equal("[]\n", cli:must "ls --json --label a=c")
    cli:must "delete told"
  end)

  it("are listed plain, a line each, with tabs", function()
    cli:must "create --name one"
    cli:must "create --name two --ttl 60"
    cli:must "stop two"
    local rows = {}
    for line in cli:must("ls"):gmatch "[^\n]+" do
      local name, state, age, cpu = line:match "^([^\t]*)\t([^\t]*)\t(%d+s)\t(%d+)\t"
      rows[name] = { state, tonumber(age:match "%d+") <= 60, cpu }
    end
    assert.same({ one = { "started", true, "1" }, two = { "stopped", true, "1" } }, rows)
    assert.truthy(cli:must("ls --state stopped --state error"):find "^two\t[^\n]*\n$")
    assert.truthy(cli:must("ls --limit 1"):find "^[^\n]*\n$")
    assert.truthy(cli:must("info two"):find("\nstate\tstopped\n", 1, true))
    cli:must "delete one two"
  end)

  it("are listed at a terminal in columns that fit, coloured unless that is unwanted", function()
    cli:must("create --name " .. ("long-"):rep(20))
    local command = ("stty cols 50 2>/dev/null; env %s %%s bin/daytona-lua ls"):format(cli.account)
    local function typescript(env) -- script(1) gives it a terminal
      local pipe = io.popen(("script -qec '%s' /dev/null </dev/null"):format(command:format(env)))
      local text = pipe:read("*a"):gsub("\r", "")
      pipe:close()
      return text
    end
    local text = typescript "NO_COLOR="
    assert.truthy(text:find("NAME", 1, true), text)
    assert.truthy(text:find("\27[32mstarted\27[0m", 1, true), text)
    text = typescript "NO_COLOR=1"
    assert.is_nil(text:find("\27", 1, true), text)
    for line in text:gmatch "[^\n]+" do
      assert.is_true(select(2, line:gsub("[^\128-\191]", "")) <= 50, line)
    end
    assert.truthy(text:find("…", 1, true), text)
    cli:must("delete " .. ("long-"):rep(20))
  end)

  it("are changed each for itself: a failure is told and the others are done", function()
    cli:must "create --name there"
    local out, err, status = cli:run "stop nobody there"
    assert.equal(1, status)
    assert.equal("", out)
    assert.truthy(err:find "^daytona%-lua: get on nobody: [^\n]*\n$", err)
    assert.equal("stopped", assert(cli.client:get "there").state)
    out, err, status = cli:run "delete there nobody"
    assert.equal("", out)
    assert.equal(1, status)
    assert.truthy(err:find("nobody", 1, true), err)
    assert.equal("", cli:must "delete --missing-ok nobody")
    assert.equal(0, cli.service:sandboxes())
  end)

  it("that are built show how, on standard error", function()
    local out, err, status = cli:run "create --image debian:12 --name built --cpu 2"
    assert.equal(0, status, err)
    assert.equal("built\n", out)
    assert.truthy(err:find("debian:12", 1, true), err)
    assert.truthy(cli:must("logs --build built"):find("debian:12", 1, true))
    assert.truthy(cli:must("logs --build -f built"):find("debian:12", 1, true))
    cli:must "delete built"
  end)

  it("are built of a Dockerfile with what it copies", function()
    os.execute(([[mkdir %s/context && cd %s/context && echo hello >greeting &&
      printf 'FROM debian:12\nCOPY greeting /srv/\n' >Dockerfile]]):format(cli.dir, cli.dir))
    local out, err, status = cli:run("create --name filed --dockerfile " .. cli.dir .. "/context/Dockerfile")
    assert.equal(0, status, err)
    assert.equal("filed\n", out)
    assert.truthy(err:find("COPY", 1, true), err)
    cli:must "delete filed"
    os.execute("rm " .. cli.dir .. "/context/greeting")
    out, err, status = cli:run("create --name filed --dockerfile " .. cli.dir .. "/context/Dockerfile")
    assert.equal("", out)
    assert.truthy(err:find "^daytona%-lua: [^\n]*greeting[^\n]*\n$", err)
    assert.equal(1, status)
    out, err, status = cli:run "create --image x --dockerfile y"
    assert.equal("", out)
    assert.truthy(err:find("either --image or --dockerfile", 1, true), err)
    assert.equal(2, status)
  end)

  it("keep no secret of the account in what fails", function()
    assert(cli.service.server:faults { { method = "POST", path = "/sandbox", status = 500, times = 1,
      body = { message = "broken " .. cli.service.server.api_key } } })
    local _, err, status = cli:run "create"
    assert(cli.service.server:clear_faults())
    assert.equal(1, status)
    assert.is_nil(err:find(cli.service.server.api_key, 1, true), err)
  end)
end)

describe("sandboxes that nobody owns any more", function()
  it("are listed and deleted; those of the command line itself are meant to stay", function()
    local server = cli.service.server
    local dead = require("spec.support.child").start([[
      local daytona = require "daytona"
      local url, key = ARG:match "(%S+) (%S+)"
      local client = assert(daytona.new { api_url = url, api_key = key, ledger = false })
      assert(client:create { name = "orphan", labels = { a = "b" } })
      say "made"
      loop.sleep(60)
    ]], server.api_url .. " " .. server.api_key)
    assert.equal("made", dead:line())
    cli:must "create --name kept"
    assert.equal("", cli:must "leftovers")
    dead:signal "KILL"
    dead:rest()
    assert.truthy(cli:must("leftovers"):find("^orphan\tstarted\t%d+s\towner_gone\t[^\n]*/" .. dead.pid .. "\n$"))
    assert.equal("", cli:must "reap --label a=c")
    assert.equal("orphan", decoded("reap --dry-run --json")[1].sandbox.name)
    assert.equal(2, cli.service:sandboxes())
    assert.truthy(cli:must("reap"):find "^orphan\t")
    assert.equal("", cli:must "reap")
    assert.equal("[]\n", cli:must "leftovers --json")
    assert.equal("started", assert(cli.client:get "kept").state)
    cli:must "delete kept"
    cli:must "create --name leased --lease 600"
    assert.equal("600", assert(cli.client:get "leased").raw.labels["daytona-lua-lease"])
    cli:must "delete leased"
  end)
end)

describe("snapshots and volumes", function()
  it("are made, listed and deleted", function()
    assert.equal("snap\n", cli:must "snapshot create snap --image debian:12 --cpu 2")
    assert.truthy(("\n" .. cli:must "snapshot ls"):find "\nsnap\tactive\t%d+s\t2\t")
    cli:must "snapshot deactivate snap"
    assert.equal("inactive", assert(cli.client.snapshots:get "snap").state)
    cli:must "snapshot activate snap"
    cli:must "snapshot delete snap"
    local _, err, status = cli:run "snapshot delete snap-of-nobody"
    assert.equal(1, status)
    assert.truthy(err:find("not_found", 1, true), err)
    assert.equal("vol\n", cli:must "volume create vol")
    assert.equal("vol", decoded("volume ls --json")[1].name)
    assert.truthy(cli:must("volume ls"):find "^vol\tready\t")
    cli:must "create --name mounted --volume vol:/data"
    assert.equal("/data", assert(cli.client:get "mounted").raw.volumes[1].mountPath)
    cli:must "delete --wait mounted"
    cli:must "volume delete vol"
  end)

  it("are built of a Dockerfile or a sandbox", function()
    local file = assert(io.open(cli.dir .. "/Dockerfile", "w"))
    file:write "FROM debian:12\nRUN echo built\n"
    file:close()
    local out, err, status = cli:run("snapshot create dock --json --dockerfile " .. cli.dir .. "/Dockerfile")
    assert.equal(0, status, err)
    assert.equal("dock", json.decode(out).name)
    assert.truthy(err:find("echo built", 1, true), err)
    assert.truthy(cli:must("snapshot logs dock"):find("echo built", 1, true))
    cli:must "create --name source"
    assert.equal("copy\n", cli:must "snapshot create copy --from source")
    cli:must "delete source"
    cli:must "snapshot delete dock copy"
    out, err, status = cli:run "snapshot create x --dockerfile /no/such/file"
    assert.equal(1, status)
    assert.equal("", out)
    assert.truthy(err:find("/no/such/file", 1, true), err)
  end)
end)
