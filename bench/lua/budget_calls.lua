-- The calls that can return much, as budget.lua measures them: each with the methods whose work it
-- is, by the names of doc/reference.md; at the end those without one (spec/frames_spec.lua
-- says when one is neither here nor there).
--
-- A row: { name, what the table calls it, { methods }, call, and, where it is needed,
--   bytes    of the largest string that the call returns
--   first    what is done before, not measured
--   canned   { path, JSON or a function }: what the local server is told to answer
-- }. `of(world)` makes them; of an empty world only their names are to be used.

local M = {}

local MANY, MEGABYTE = 2000, 1048576

-- So many items of JSON, each with its number for "#".
local function items(text, count)
  local list = {}
  for i = 1, count or MANY do list[i] = (text:gsub("#", i)) end
  return "[" .. table.concat(list, ",") .. "]"
end

local function object(field, text, count)
  return ('{"%s":%s}'):format(field, items(text, count))
end

local SANDBOX = [[{"id":"id-#","organizationId":"o","name":"box-#","target":"us","user":"daytona","state":"started",
"labels":{"n":"#","code-toolbox-language":"python"},"env":{},"public":false,"networkBlockAll":false,"cpu":1,"gpu":0,
"memory":1,"disk":3,"autoStopInterval":15,"autoArchiveInterval":10080,"autoDeleteInterval":-1,"snapshot":"base",
"desiredState":"started","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","volumes":[],
"runnerId":"r","toolboxProxyUrl":"https://proxy.example/toolbox"}]]
local NODE = [[{"id":"#","role":"label","name":"node #",
"bounds":{"x":1,"y":2,"width":3,"height":4},"states":["visible"]}]]
local SPAN = [[{"traceId":"t","spanId":"s#","parentSpanId":"s","spanName":"call #","timestamp":"2026-01-01T00:00:00Z",
"durationNs":#,"spanAttributes":{"http.method":"GET","n":"#"},"statusCode":"OK"}]]

-- Sends what a session, a job or a terminal prints to nobody.
local function read_all(reader)
  local bytes = 0
  while true do
    local first, second = reader:read()
    if not first then break end
    bytes = bytes + #(second or first)
  end
  return bytes
end

local function numbered(item)
  local list = {}
  for i = 1, MANY do list[i] = item(i) end
  return list
end

---@param world { box: any, client: any, scratch: string, big: string, daytona: any, shell: fun(command: string) }
---@return table[]
function M.of(world)
  local function box() return world.box end
  local function fs() return world.box.fs end
  local wanted = numbered(function(i) return "tree/" .. i end)
  local given = numbered(function(i) return { { data = "x" }, "up/" .. i } end)
  local function down() return fs():sync(world.scratch .. "/tree", "tree", { direction = "down" }) end
  local function up() return fs():sync(world.scratch .. "/tree", "tree2", { checksum = true }) end
  local function fresh() fs():remove("tree2", { recursive = true }) end
  local function output_of(command)
    return function() return #assert(box():exec(command)).result == 4 * MEGABYTE end
  end
  local function session_of(command)
    return function()
      world.session = world.session or assert(box():session())
      world.command = assert(world.session:exec(command)).command
      return world.command
    end
  end
  local TALL = "head -c 1000000 lines"
  return {
    -- Files
    { "list", "fs:list of 2,000", { "FileSystem:list" }, function() return #assert(fs():list "many") == MANY end },
    { "glob", "fs:glob of 2,000", { "FileSystem:glob" },
      function() return #assert(fs():glob("many", "*")) >= MANY end },
    { "grep", "fs:grep, 1,000 lines", { "FileSystem:grep" }, function() return fs():grep("tree", "1") end },
    { "replace", "fs:replace in 2,000", { "FileSystem:replace" },
      function() return #assert(fs():replace(wanted, "nothing", "something")) == MANY end },
    { "down", "fs:sync down, 2,000 files", { "FileSystem:sync", "FileSystem:download_dir" }, down,
      first = function() world.shell("rm -rf " .. world.scratch .. "/tree") end },
    { "down_again", "the same, nothing changed", { "FileSystem:sync" }, down },
    { "up", "fs:sync up, 2,000 files", { "FileSystem:sync", "FileSystem:upload_dir" }, up, first = fresh },
    { "up_again", "the same, nothing changed there", { "FileSystem:sync" }, up },
    { "download_many", "fs:download_many of 2,000", { "FileSystem:download_many" },
      function() return fs():download_many(wanted) end },
    { "upload_many", "fs:upload_many of 2,000", { "FileSystem:upload_many" },
      function() return fs():upload_many(given) end,
      first = function() fs():remove("up", { recursive = true }) end },
    { "upload_over", "the same over what is there", { "FileSystem:upload_many" },
      function() return fs():upload_many(given) end },
    { "upload", "fs:upload of 16 MB", { "FileSystem:upload" },
      function() return fs():upload(world.scratch .. "/big", "b") end,
      first = function() assert(fs():download("big", world.scratch .. "/big")) end },
    { "download", "fs:download of 16 MB", { "FileSystem:download" },
      function() return fs():download("big", world.scratch .. "/big") end,
      first = function() os.remove(world.scratch .. "/big") end }, -- which takes the kernel 2 ms
    { "write", "fs:write of 16 MB", { "FileSystem:write" }, function() return fs():write("w", world.big) end },
    { "read", "fs:read of 16 MB", { "FileSystem:read", "FileSystem:tail" },
      function() return #assert(fs():read "big") == 16777216 end, bytes = 16777216 },
    { "tail", "fs:tail, 10,000 lines", { "FileSystem:tail" },
      function() return fs():tail("lines", { lines = 10000 }) end },
    { "file_lines", "an open file, 4 MB of lines", { "FileSystem:open", "File:lines", "File:read",
      "File:seek" }, function()
      local file = assert(fs():open "lines")
      for _ in file:lines() do end
      return file:close()
    end },
    { "file_write", "an open file, 4 MB written", { "FileSystem:open", "File:write", "File:flush",
      "File:close" }, function()
      local file = assert(fs():open("written", "w"))
      for _ = 1, 64 do assert(file:write(world.big:sub(1, 65536))) end
      return file:close()
    end },
    { "watch", "fs:watch of 2,000, all new", { "FileSystem:watch" }, function()
      local seen = 0
      local task = world.daytona.spawn(function()
        return fs():watch("watched", function(changes)
          seen = seen + #changes
          return seen < MANY
        end, { interval = 0.1 })
      end)
      world.daytona.sleep(0.5)
      assert(box():exec "cd watched && seq 2000 | xargs touch")
      return task:wait(20)
    end, first = function() assert(box():exec "rm -rf watched; mkdir watched") end },
    { "info", "fs:stat, exists, mkdir, move, chmod, remove", { "FileSystem:stat", "FileSystem:exists",
      "FileSystem:mkdir",
      "FileSystem:move", "FileSystem:chmod", "FileSystem:remove", "Sandbox:refresh" }, function()
      return assert(fs():stat "big") and assert(fs():mkdir "d/e") and assert(fs():move("d", "d2"))
        and assert(fs():chmod("text", "600")) and assert(fs():remove("d2", { recursive = true }))
        and assert(fs():exists "big") and box():refresh()
    end },
    -- Commands
    { "exec", "exec with 4 MB", { "Sandbox:exec" }, output_of "cat text", bytes = 4 * MEGABYTE },
    { "exec_lines", "exec with 4 MB of lines", { "Sandbox:exec" }, output_of "cat lines", bytes = 4 * MEGABYTE },
    { "exec_live", "exec with a function, 1 MB of lines", { "Sandbox:exec" }, function()
      return box():exec(TALL, { on_stdout = function() end })
    end },
    { "run", "run, 1 MB", { "Sandbox:run" },
      function() return box():run("print('x' * 1000000)", { language = "python" }) end },
    { "session", "session:exec with 1 MB", { "Session:exec", "Sandbox:session" },
      session_of "head -c 1000000 /dev/zero | tr '\\0' x" },
    { "session_lines", "session:exec with 1 MB of lines", { "Session:exec" }, session_of("cd; " .. TALL) },
    { "logs", "command:logs, 1 MB", { "Command:logs", "Sandbox:entrypoint" },
      function() return world.command:logs() end },
    { "logs_exact", "the same, exact", { "Command:logs" }, function() return world.command:logs { exact = true } end },
    { "follow", "a follow of 1 MB", { "Command:follow", "Follow:read", "Follow:lines" },
      function() return read_all(assert(world.command:follow())) > 900000 end },
    { "commands", "session:commands, 2,000", { "Session:commands" },
      function() return #assert(world.session:commands()) == MANY end,
      canned = { "/process/session/*", object("commands", '{"id":"c#","command":"echo #","exitCode":0}') } },
    { "sessions", "sessions, 2,000", { "Sandbox:sessions" }, function() return #assert(box():sessions()) == MANY end,
      canned = { "/process/session", items '{"sessionId":"s#","commands":[{"id":"c#","command":"a"}]}' } },
    { "popen", "popen, 20,000 lines", { "Sandbox:popen", "Job:lines", "Job:close" }, function()
      local job = assert(box():popen(TALL))
      for _ in job:lines() do end
      return job:close()
    end },
    { "popen_all", "popen, 1 MB in one", { "Job:read" }, function()
      local job = assert(box():popen(TALL))
      return #job:read "a" == 1000000 and job:close()
    end, bytes = 1000000 },
    { "jobs", "jobs, 2,000", { "Sandbox:jobs", "Sandbox:job" }, function() return #assert(box():jobs()) == MANY end,
      canned = { "/process/execute", function()
        local line = "job%d 17000%05d c2xlZXAgMTAwCg== exit 0 0 0"
        local lines = numbered(function(i) return line:format(i, i) end)
        return '{"exitCode":0,"result":"' .. table.concat(lines, "\\n") .. '\\n"}'
      end } },
    { "pty", "pty, 20,000 lines", { "Sandbox:pty", "Pty:read", "Pty:chunks", "Pty:lines", "Pty:close" }, function()
      local pty = assert(box():pty())
      assert(pty:write "seq 20000; exit\n")
      while pty:read() do end
      return pty:close() or true
    end },
    { "pty_wait", "pty:wait, 20,000 lines", { "Pty:wait" }, function()
      local pty = assert(box():pty())
      assert(pty:write "seq 20000; exit\n")
      return pty:wait { timeout = 20, on_output = function() end } and (pty:close() or true)
    end },
    { "ptys", "ptys, 2,000", { "Sandbox:ptys" }, function() return #assert(box():ptys()) == MANY end,
      canned = { "/process/pty", object("sessions",
        '{"id":"p#","cwd":"/","cols":80,"rows":24,"active":true,"createdAt":"2026-01-01T00:00:00Z"}') } },
    { "interpreter", "interpreter, 1 MB in one", { "Interpreter:run", "Context:run" },
      function() return box().interpreter:run "print('x' * 1000000)" end, bytes = 1000000 },
    { "interpreter_lines", "interpreter, 20,000 lines", { "Interpreter:run" },
      function() return box().interpreter:run "for i in range(20000): print(i, 'x' * 40)" end },
    { "contexts", "interpreter:contexts, 2,000", { "Interpreter:contexts" },
      function() return #assert(box().interpreter:contexts()) == MANY end,
      canned = { "/process/interpreter/context", object("contexts",
        '{"id":"c#","cwd":"/","language":"python","active":true,"createdAt":"2026-01-01T00:00:00Z"}') } },
    { "ports", "ports, 2,000", { "Sandbox:ports" }, function() return #assert(box():ports()) == MANY end,
      canned = { "/port", '{"ports":' .. items "#" .. "}" } },
    { "metrics", "home_dir, work_dir, version", { "Sandbox:home_dir", "Sandbox:work_dir", "Sandbox:version" },
      function() return assert(box():home_dir()) and assert(box():work_dir()) and box():version() end },
    -- Git
    { "git", "git add, branches", { "Git:add", "Git:branches" }, function()
      return assert(fs():write("repository/a", "x")) and assert(box().git:add("repository", "a"))
        and assert(box().git:branches "repository")
    end },
    { "git_status", "git:status, 2,000 files", { "Git:status" }, function() return box().git:status "r" end,
      canned = { "/git/status", '{"currentBranch":"main","fileStatus":'
        .. items '{"name":"file#","staging":"Untracked","worktree":"Untracked","extra":""}' .. "}" } },
    { "git_log", "git:log, 2,000 commits", { "Git:log" }, function() return #assert(box().git:log "r") == MANY end,
      canned = { "/git/history", items('{"hash":"0123456789abcdef#","author":"A","email":"a@example.com",'
        .. '"message":"Commit #","timestamp":"2026-01-01T00:00:00Z"}') } },
    { "git_branches", "git:branches, 2,000", { "Git:branches" }, function() return box().git:branches "r" end,
      canned = { "/git/branches", object("branches", '"branch#"') } },
    { "git_remotes", "git:remotes, 2,000", { "Git:remotes", "Git:get_remote" },
      function() return box().git:remotes "r" end,
      canned = { "/git/remotes", object("remotes", '{"name":"r#","url":"https://example.com/#"}') } },
    -- Language servers
    { "lsp_symbols", "lsp: 2,000 symbols", { "LanguageServer:document_symbols" },
      function() return #assert(assert(box():lsp("python", "/r")):document_symbols "a.py") == MANY end,
      canned = { "/lsp/document-symbols", items('{"name":"s#","kind":12,"location":{"uri":"file:///r/a.py",'
        .. '"range":{"start":{"line":#,"character":0},"end":{"line":#,"character":9}}}}') } },
    { "lsp_workspace", "lsp: 2,000 symbols of a project", { "LanguageServer:workspace_symbols" },
      function() return #assert(assert(box():lsp("python", "/r")):workspace_symbols "s") == MANY end,
      canned = { "/lsp/workspacesymbols", items('{"name":"s#","kind":12,"location":{"uri":"file:///r/a.py",'
        .. '"range":{"start":{"line":#,"character":0},"end":{"line":#,"character":9}}}}') } },
    { "lsp_completions", "lsp: 2,000 completions", { "LanguageServer:completions" },
      function() return assert(box():lsp("python", "/r")):completions("/r/a.py", { line = 1, character = 1 }) end,
      canned = { "/lsp/completions", '{"isIncomplete":false,"items":' .. items('{"label":"l#","kind":3,"detail":"d",'
        .. '"documentation":{"kind":"markdown","value":"v"},"sortText":"#","insertText":"l#"}') .. "}" } },
    -- The desktop
    { "screenshot", "computer: a screenshot of 3 MB", { "Screenshot:full", "Screenshot:region" },
      function() return box().computer.screenshot:full() end, bytes = 4 * MEGABYTE,
      canned = { "/computeruse/screenshot", function()
        return '{"screenshot":"' .. ("iVBORw0K"):rep(MEGABYTE / 2) .. '"}'
      end } },
    { "windows", "computer: 2,000 windows", { "Display:windows", "Display:info" },
      function() return #assert(box().computer.display:windows()) == MANY end,
      canned = { "/computeruse/display/windows", object("windows",
        '{"id":#,"title":"w#","x":1,"y":2,"width":3,"height":4,"isActive":false}') } },
    { "tree", "computer: a tree of 2,000 nodes", { "Accessibility:tree" },
      function() return #assert(box().computer.accessibility:tree()).root.children == MANY end,
      canned = { "/computeruse/a11y/tree", '{"root":{"id":"0","role":"frame","name":"f","states":null,"bounds":{},'
        .. '"children":' .. items(NODE) .. '},"truncated":false}' } },
    { "find", "computer: 2,000 nodes found", { "Accessibility:find" },
      function() return #assert(box().computer.accessibility:find { limit = 5000 }).matches == MANY end,
      canned = { "/computeruse/a11y/find", '{"matches":' .. items(NODE) .. "}" } },
    { "recordings", "computer: 2,000 recordings", { "Recording:list" },
      function() return #assert(box().computer.recording:list()) == MANY end,
      canned = { "/computeruse/recordings", object("recordings", '{"id":"r#","fileName":"f#","filePath":"/f#",'
        .. '"status":"completed","startTime":"2026-01-01T00:00:00.#Z","durationSeconds":1.5,"sizeBytes":#}') } },
    { "computer_logs", "computer: logs of 1 MB", { "Computer:logs", "Computer:error_logs" },
      function() return box().computer:logs "xvfb" end,
      canned = { "/computeruse/process/*/logs", function()
        return '{"processName":"xvfb","logs":"' .. ("a line of a log\\n"):rep(65536) .. '"}'
      end } },
    -- What the service answers
    { "listing", "list of 200 sandboxes", { "daytona.list", "Client:list" },
      function() return #assert(world.client:list { limit = 200 }).items == 200 end,
      canned = { "/sandbox", object("items", SANDBOX, 200) } },
    { "each", "each of 200 sandboxes", { "daytona.each", "Client:each" }, function()
      local n = 0
      for one in world.client:each() do n = n + #one.state end
      return n == 7 * 200
    end, canned = { "/sandbox", object("items", SANDBOX, 200) } },
    { "family", "forks, 2,000", { "Family:forks", "Family:ancestors" },
      function() return #assert(box().family:forks()) == MANY end, canned = { "/sandbox/*/forks", items(SANDBOX) } },
    { "snapshots", "snapshots, 200", { "Snapshots:list", "Snapshots:each" },
      function() return #assert(world.client.snapshots:list()).items == 200 end,
      canned = { "/snapshots", object("items", '{"id":"i#","name":"n#","state":"active","cpu":1,"mem":1,"disk":3,'
        .. '"size":1.5,"entrypoint":["sleep","infinity"],"createdAt":"2026-01-01T00:00:00Z"}', 200) } },
    { "volumes", "volumes, 2,000", { "Volumes:list", "Volumes:each" },
      function() return #assert(world.client.volumes:list()) == MANY end,
      canned = { "/volumes", items '{"id":"i#","name":"n#","state":"ready","createdAt":"2026-01-01"}' } },
    { "secrets", "secrets, 2,000", { "Secrets:list", "Secrets:each" },
      function() return #assert(world.client.secrets:list()).items == MANY end,
      canned = { "/secret/paginated", object("items", '{"id":"i#","name":"n#","hosts":["a.example"],'
        .. '"placeholder":"p#","createdAt":"2026-01-01","updatedAt":"2026-01-01"}') } },
    { "warm_pools", "warm pools, 2,000", { "WarmPools:list", "WarmPools:each", "WarmPools:get" },
      function() return #assert(world.client.warm_pools:list()) == MANY end,
      canned = { "/warm-pools", items '{"id":"i#","pool":1,"snapshot":"s#","target":"us","createdAt":"2026-01-01"}' } },
    { "regions", "regions, 2,000", { "Regions:list", "Regions:each", "Regions:get" },
      function() return #assert(world.client.regions:list()) == MANY end,
      canned = { "/regions", items '{"id":"i#","name":"n#","regionType":"shared"}' } },
    { "metric_rows", "telemetry: 2,000 moments", { "Telemetry:metrics" },
      function() return #assert(box().telemetry:metrics()) == MANY end,
      canned = { "/sandbox/*/telemetry/metrics",
        '{"series":[{"metricName":"daytona.sandbox.cpu.utilization","dataPoints":'
        .. items '{"timestamp":"2026-01-01T00:00:00.#Z","value":1.5}' .. "}]}" } },
    { "telemetry_logs", "telemetry: 1,000 entries", { "Telemetry:logs", "Telemetry:traces" },
      function() return #assert(box().telemetry:logs { limit = 1000 }).items == 1000 end,
      canned = { "/sandbox/*/telemetry/logs", object("items", '{"timestamp":"2026-01-01T00:00:00Z","body":"line #",'
        .. '"severityText":"INFO","serviceName":"s","logAttributes":{"n":"#"},"resourceAttributes":{}}', 1000) } },
    { "trace", "telemetry: 2,000 spans", { "Telemetry:trace" },
      function() return #assert(box().telemetry:trace "t") == MANY end,
      canned = { "/sandbox/*/telemetry/traces/*", items(SPAN) } },
    { "request", "request of 1 MB of JSON", { "Client:request", "Sandbox:request", "Preview:request" },
      function() return #assert(box():request("GET", "/files", { query = { path = "." } })).json == 10000 end,
      bytes = MEGABYTE, canned = { "/files", function()
        local file = '{"name":"file#","size":#,"isDir":false,"mode":"-rw-r--r--","modTime":"2026-01-01T00:00:00Z"}'
        return items(file, 10000)
      end } },
    { "account", "client: key, ping, config", { "Client:key", "Client:ping", "Client:config" },
      function() return assert(world.client:key()) and assert(world.client:ping()) and world.client:config() end },
    { "create", "create, delete", { "daytona.create", "Client:create", "Sandbox:delete" }, function()
      local other = assert(world.client:create())
      return other:delete()
    end },
    { "image", "an image with 2,000 files", { "Image:add_local_dir", "Image:local_files", "Snapshots:create",
      "Snapshot:build_logs", "Telemetry:build_logs" }, function()
      world.images = (world.images or 0) + 1
      local image = world.daytona.image.base "debian:12":add_local_dir(world.scratch .. "/tree", "/tree")
      local snapshot = assert(world.client.snapshots:create { name = "s" .. world.images, image = image })
      return snapshot:delete()
    end },
    { "events", "events, of 20 volumes", { "Client:events", "Events:next", "Volumes:create",
      "Volume:delete" }, function()
      local events = assert(world.client:events())
      for i = 1, 20 do assert(assert(world.client.volumes:create("v" .. i)):delete { wait = true }) end
      for _ = 1, 40 do assert(events:next(10)) end
      return events:close() or true
    end },
    -- Tools
    { "tools", "tools: a command with 1 MB", { "daytona.tools", "Toolset:definitions", "Toolset:definitions_json",
      "Toolset:call" }, function()
      local tools = world.daytona.tools("operations", { client = world.client })
      return #tools:definitions_json "openai" > 0
        and tools:call("daytona_execute_command", { sandboxId = box().id, command = TALL })
    end },
  }
end

-- Methods without a row, and why.
M.without = {
  { "one thing of a few fields, or nothing, comes back", [[
    daytona.get daytona.delete Client:get Client:start Client:stop Client:delete Client:usage Sandbox:wait
    Sandbox:start Sandbox:stop Sandbox:pause Sandbox:resume Sandbox:archive Sandbox:recover Sandbox:touch
    Sandbox:resize Sandbox:create_snapshot Family:parent Settings:set_labels Settings:merge_labels
    Settings:set_auto_stop_interval Settings:set_auto_pause_interval Settings:set_auto_archive_interval
    Settings:set_auto_delete_interval Settings:set_ttl Settings:set_public Settings:set_network
    Settings:set_secrets Settings:set_env Sandbox:port_in_use Sandbox:wait_for_port Preview:url Preview:expire
    Preview:download_url Preview:upload_url Preview:rotate_signing_key Ssh:access Ssh:revoke Ssh:validate
    Telemetry:metrics_latest Snapshot:refresh Snapshot:wait Snapshot:activate Snapshot:deactivate Snapshot:delete
    Snapshots:get Snapshots:activate Snapshots:deactivate Snapshots:delete Volume:refresh Volume:wait_ready
    Volumes:get Volumes:delete Secret:refresh Secret:update Secret:delete Secrets:get Secrets:create
    Secrets:update Secrets:delete WarmPool:refresh WarmPool:set_size WarmPool:delete WarmPools:create
    WarmPools:delete Regions:gpu_capacity Regions:sandbox_classes Session:is_alive Session:delete Command:refresh
    Command:wait Command:input Job:write Job:close_stdin Job:wait Job:kill Job:remove Pty:connect Pty:write
    Pty:resize Pty:info Pty:kill Pty:disconnect Interpreter:create_context Interpreter:delete_context
    Context:delete Git:clone Git:init Git:commit Git:reset Git:restore Git:create_branch Git:delete_branch
    Git:checkout Git:push Git:pull Git:add_remote Git:get_config Git:set_config Git:configure_user
    Git:authenticate LanguageServer:start LanguageServer:stop LanguageServer:did_open LanguageServer:did_close
    Computer:start Computer:stop Computer:status Computer:processes Computer:process Computer:restart
    Mouse:position Mouse:move Mouse:click Mouse:drag Mouse:scroll Mouse:down Mouse:up Keyboard:type Keyboard:press
    Keyboard:hotkey Keyboard:down Keyboard:up Recording:start Recording:stop Recording:get Recording:delete
    Accessibility:focus Accessibility:invoke Accessibility:set_value]] },
  { "it is made of calls that have a row, or does as one of them does", [[
    Sandbox:ensure_started Sandbox:close Sandbox:fork Sandbox:keep_alive Sandbox:wait_for Sandbox:explain
    Family:fork Family:disown Recording:download Chart:png Chart:save Client:leftovers Client:reap Client:pool
    Pool:take Pool:give Pool:with Pool:map Pool:close Session:close Context:close Pty:interact]] },
  { "it asks nobody", [[
    daytona.spawn daytona.callback daytona.within daytona.use daytona.driver daytona.update daytona.sleep
    daytona.new daytona.client daytona.is_error daytona.assert daytona.using daytona.trap daytona.main
    daytona.on_unhandled daytona.array daytona.budget daytona.gather daytona.map Task:done Task:cancel Task:wait
    Task:detach Client:close Client:attach Image:pip_install Image:pip_install_from_requirements
    Image:pip_install_from_pyproject Image:apt_install Image:add_local_file Image:copy Image:run_commands
    Image:run Image:env Image:workdir Image:user Image:label Image:expose Image:entrypoint Image:cmd
    Image:dockerfile_commands Image:dockerfile Events:close Follow:close Session:command Sandbox:lsp Pool:stats
    Budget:used Budget:left Share:took Share:release Toolset:add Toolset:keep_secret Toolset:result Toolset:limits
    Toolset:home Toolset:find_home Call:progress Call:client Call:sandbox Call:home Call:cap
    JobOutput:tell Run:failure Run:no_directory Run:hide Run:plan Run:result]] },
  { "not measured: what models, editors and other programs are talked to with", [[
    daytona.agent Agent:guess Agent:count Agent:send Agent:stream Agent:run Agent:close
    Conversation:create Conversation:records Conversation:forget Conversation:find
    Server:handle Toolset:start Toolset:conclude Toolset:close]] },
}

return M
