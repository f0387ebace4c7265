-- What the daemon of a sandbox answers, as facts (see runner.lua): found on the daemon of
-- release 0.190 and on the branches that today's contract grew from.
-- luacheck: no max line length

local function post(label, path, status, body, more)
  local fact = { "toolbox", label, "POST", path, status, at = "toolbox", body = body }
  for name, value in pairs(more or {}) do fact[name] = value end
  return fact
end

local function get(label, path, status, more)
  local fact = { "toolbox", label, "GET", path, status, at = "toolbox" }
  for name, value in pairs(more or {}) do fact[name] = value end
  return fact
end

local function delete(label, path, status, more)
  local fact = get(label, path, status, more)
  fact[3] = "DELETE"
  return fact
end

return {
  { "toolbox", "a sandbox", "POST", "/sandbox", 200, body = '{"name":"{run}toolbox"}', save = "box" },
  { "toolbox", "it starts", wait = "box", states = "creating started" },

  get("no key", "/version", 401, { auth = "none" }),
  get("a wrong key", "/version", 401, { auth = "wrongkey" }),
  get("version, old", "/version", 200, { only = "legacy", text = '"version":"v0%.190%.0"' }),
  get("version", "/version", 200, { only = "new", fields = "version=string" }),
  get("home", "/user-home-dir", 200, { fields = "dir=string" }),
  get("project", "/project-dir", 200, { fields = "dir=string" }),
  get("work", "/work-dir", 200, { fields = "dir=string" }),
  get("a path that is none", "/nothing", 404, { text = "^404 page not found$" }),

  post("execute", "/process/execute", 200, '{"command":"echo out; echo err >&2"}', { fields = "exitCode=number result=string", text = "out\\nerr\\n" }),
  post("execute, exit code", "/process/execute", 200, '{"command":"exit 7"}', { text = '"exitCode":7' }),
  post("execute, killed", "/process/execute", 200, '{"command":"kill -9 $$"}', { text = '"exitCode":%-1' }),
  post("execute, no such folder", "/process/execute", 200, '{"command":"true","cwd":"/nope"}', { text = "fork/exec .*: no such file or directory" }),
  post("execute, a file as folder", "/process/execute", 200, '{"command":"true","cwd":"/etc/passwd"}', { text = "fork/exec .*: not a directory" }),
  post("execute, blank", "/process/execute", 400, '{"command":" "}', { code = "BAD_REQUEST", message = "bad request: command cannot be empty or whitespace-only" }),
  post("execute, no body", "/process/execute", 400, "", { only = "legacy", code = "BAD_REQUEST", message = "~^bad request: invalid request body: " }),
  post("execute, bad JSON", "/process/execute", 400, "{", { only = "legacy", code = "BAD_REQUEST", message = "~^bad request: invalid request body: " }),
  post("execute, bad JSON", "/process/execute", 400, "{", { only = "new", code = "INVALID_REQUEST_BODY" }),
  post("execute, wrong type", "/process/execute", 400, '{"command":5}', { only = "legacy", code = "BAD_REQUEST" }),
  post("execute, too long", "/process/execute", 408, '{"command":"sleep 9","timeout":1}', { only = "new", code = "PROCESS_EXECUTION_TIMEOUT" }),
  post("execute, too long", "/process/execute", 408, '{"command":"sleep 9","timeout":1}', { only = "legacy", code = "REQUEST_TIMEOUT", message = "request timeout: command execution timeout" }),
  post("execute, bad variable", "/process/execute", 400, '{"command":"true","envs":{"A-B":"x"}}', { message = "bad request: invalid environment variable name: 'A-B'" }),
  post("code", "/process/code-run", 200, '{"code":"print(1+1)","language":"python"}', { text = "2\\n" }),
  post("code, unknown language", "/process/code-run", 400, '{"code":"1","language":"x"}', { message = "bad request: unsupported language: x" }),
  post("code, bad JSON", "/process/code-run", 400, "{", { code = "INVALID_REQUEST_BODY" }),

  post("session", "/process/session", 201, '{"sessionId":"s"}'),
  post("session again", "/process/session", 409, '{"sessionId":"s"}', { code = "CONFLICT", message = "conflict: session already exists" }),
  post("session, no id", "/process/session", 400, "{}", { code = "INVALID_REQUEST_BODY" }),
  post("session, reserved", "/process/session", 400, '{"sessionId":"entrypoint"}', { message = "bad request: provided session ID is reserved and cannot be created/overridden" }),
  delete("session, reserved, ended", "/process/session/entrypoint", 400, { message = "bad request: can't delete entrypoint session" }),
  post("session, reserved, command", "/process/session/entrypoint/exec", 400, '{"command":"true"}', { message = "bad request: can't execute command in entrypoint session" }),
  get("sessions", "/process/session", 200, { fields = "array" }),
  get("a session", "/process/session/s", 200, { fields = "sessionId=string commands=array" }),
  get("a session that is none", "/process/session/none", 404, { only = "legacy", code = "NOT_FOUND", message = "not found: session not found" }),
  get("a session that is none", "/process/session/none", 404, { only = "new", code = "PROCESS_NOT_FOUND", message = "session not found" }),
  post("a command", "/process/session/s/exec", 200, '{"command":"echo hi"}', { fields = "cmdId=string exitCode=number output=string" }),
  post("a command, async", "/process/session/s/exec", 202, '{"command":"true","runAsync":true}', { fields = "cmdId=string" }),
  post("a command, no session", "/process/session/none/exec", 500, '{"command":"true"}', { only = "legacy", message = "failed to execute command: not found: session not found" }),
  get("a command that is none", "/process/session/s/command/none", 404, { only = "legacy", code = "NOT_FOUND", message = "not found: command not found" }),
  get("a command that is none, logs", "/process/session/s/command/none/logs", 404),
  post("a command that is none, input", "/process/session/s/command/none/input", 404, '{"data":"x"}'),
  delete("session ends", "/process/session/s", 204),
  delete("session ends again", "/process/session/s", 404),

  post("terminal", "/process/pty", 201, '{"id":"p"}', { fields = "sessionId=string" }),
  post("terminal again", "/process/pty", 409, '{"id":"p"}', { message = "~PTY session with ID 'p' already exists$" }),
  post("terminal, no id", "/process/pty", 400, "{}", { message = "~session ID is required$" }),
  post("terminal, no such folder", "/process/pty", 500, '{"id":"q","cwd":"/nope"}', { only = "legacy", text = '^{"error":"failed to start PTY session"}$' }),
  post("terminal, resized", "/process/pty/p/resize", 200, '{"cols":100,"rows":30}', { fields = "cols=number rows=number active=boolean" }),
  post("terminal, too wide", "/process/pty/p/resize", 400, '{"cols":1001,"rows":30}', { only = "legacy", text = '^{"error":"cols must be less than 1000"}$' }),
  post("terminal that is none, resized", "/process/pty/zz/resize", 410, '{"cols":100,"rows":30}', { only = "legacy", text = '^{"error":"PTY session zz not found"}$' }),
  post("terminal that waits", "/process/pty", 201, '{"id":"l","lazyStart":true}'),
  post("terminal that waits, resized", "/process/pty/l/resize", 500, '{"cols":100,"rows":30}', { only = "legacy", text = '^{"error":"cannot resize inactive PTY session"}$' }),
  get("terminals", "/process/pty", 200, { fields = "sessions=array" }),
  get("a terminal", "/process/pty/p", 200, { fields = "id=string cwd=string cols=number rows=number createdAt=string active=boolean lazyStart=boolean" }),
  delete("terminal ends", "/process/pty/p", 200, { fields = "message=string" }),
  get("a terminal that is none", "/process/pty/none", 404, { message = "~PTY session not found$" }),

  post("context", "/process/interpreter/context", 200, "{}", { fields = "id=string cwd=string language=string createdAt=string active=boolean" }),
  post("context, unknown language", "/process/interpreter/context", 400, '{"language":"ruby"}'),
  get("contexts", "/process/interpreter/context", 200, { fields = "contexts=array" }),
  delete("context that is none", "/process/interpreter/context/none", 404),
  delete("context, default", "/process/interpreter/context/default", 400),

  post("folder", "/files/folder?path=conf&mode=755", 201, ""),
  post("folder, bad mode", "/files/folder?path=conf2&mode=xyz", 400, ""),
  post("folder at the root", "/files/folder?path=/conf&mode=755", 400, ""),
  get("list", "/files?path=conf", 200, { fields = "array" }),
  get("list, not there", "/files?path=nope", 404),
  get("info", "/files/info?path=conf", 200, { fields = "name=string isDir=boolean size=number mode=string modTime=string owner=string group=string permissions=string" }),
  get("info, not there", "/files/info?path=nope", 404),
  get("info, no path", "/files/info", 400),
  get("download, not there", "/files/download?path=nope", 404),
  post("an empty file", "/process/execute", 200, '{"command":"touch empty"}', { text = '"exitCode":0' }),
  get("download, a slash too much", "/version/", 301, { text = "Moved Permanently" }),
  get("terminal without an upgrade", "/process/pty/none/connect", 400, { only = "legacy", text = "^Bad Request" }),
  get("interpreter without an upgrade", "/process/interpreter/execute", 400, { only = "legacy", text = "^Bad Request" }),
  get("search", "/files/search?path=.&pattern=*.txt", 200, { fields = "files=array" }),
  get("search, a NUL", "/files/search?path=.&pattern=%00*", 200, { fields = "files=array" }),
  get("find, no pattern", "/files/find?path=.", 400),
  get("find", "/files/find?path=conf&pattern=x", 200, { fields = "array" }),
  delete("delete a folder", "/files?path=conf", 400),
  delete("delete a folder and all", "/files?path=conf&recursive=true", 204),
  post("move, not there", "/files/move?source=nope&destination=x", 404, ""),
  post("replace", "/files/replace", 200, '{"files":["nope"],"pattern":"a","newValue":"b"}', { fields = "array" }),

  post("a repository", "/process/execute", 200, '{"command":"git init -q -b main r && cd r && git -c user.name=x -c user.email=x@x commit -q --allow-empty -m one"}', { text = '"exitCode":0' }),
  get("git status", "/git/status?path=r", 200, { fields = "currentBranch=string fileStatus=array ahead=number behind=number branchPublished=boolean" }),
  get("git status, none", "/git/status?path=/tmp", 404, { only = "legacy", code = "NOT_FOUND" }),
  get("git status, none", "/git/status?path=/tmp", 404, { only = "new", code = "GIT_REPO_NOT_FOUND" }),
  get("git status, no path", "/git/status", 400, { code = "BAD_REQUEST" }),
  get("git branches", "/git/branches?path=r", 200, { fields = "branches=array" }),
  get("git history", "/git/history?path=r", 200, { fields = "array", text = '"timestamp":"[^"]*Z"' }),
  post("git add, not there", "/git/add", 500, '{"path":"r","files":["none"]}', { only = "legacy", code = "INTERNAL_SERVER_ERROR", message = "entry not found" }),
  post("git add, nothing", "/git/add", 200, '{"path":"r","files":[]}', { only = "legacy" }),
  post("git commit, nothing", "/git/commit", 500, '{"path":"r","message":"m","author":"a","email":"e"}', { only = "legacy", message = "cannot create empty commit: clean working tree" }),
  post("git branch", "/git/branches", 201, '{"path":"r","name":"b1"}'),
  post("git branch again", "/git/branches", 500, '{"path":"r","name":"b1"}', { only = "legacy", message = 'a branch named "refs/heads/b1" already exists' }),
  post("git branch again", "/git/branches", 409, '{"path":"r","name":"b1"}', { only = "new", code = "GIT_BRANCH_EXISTS" }),
  post("git branch, bad name", "/git/branches", 500, '{"path":"r","name":"a..b"}', { only = "legacy", message = "invalid reference name" }),
  post("git push, no remote", "/git/push", 404, '{"path":"r"}'),
  post("git checkout, none", "/git/checkout", 404, '{"path":"r","branch":"nope"}', { only = "new", code = "GIT_BRANCH_NOT_FOUND" }),
  delete("git branch gone", "/git/branches", 204, { body = '{"path":"r","name":"other"}', only = "legacy" }),
  post("git clone, no body", "/git/clone", 400, "{}", { code = "INVALID_REQUEST_BODY" }),

  get("ports", "/port", 200, { fields = "ports=array" }),
  get("a port", "/port/9998/in-use", 200, { fields = "isInUse=boolean" }),
  get("a port out of range", "/port/80/in-use", 400),
  get("a preview of nobody", "/proxy/9/x", 502),
  post("language server, unknown", "/lsp/stop", 400, '{"languageId":"cobol","pathToProject":"."}'),
  get("computer", "/computeruse/recordings", 200, { fields = "recordings=array" }),
  get("recording that is none", "/computeruse/recordings/none", 404),
  get("recording that is none, old", "/computeruse/recordings/none", 404, { only = "legacy", text = '^{"error":"recording not found"}$' }),
  get("metrics", "/system/metrics", 200, { only = "new", fields = "cpuCount=number cpuUsedPct=number memTotal=number memUsed=number diskTotal=number diskUsed=number timestamp=string" }),
  get("metrics, old", "/system/metrics", 404, { only = "legacy" }),
}
