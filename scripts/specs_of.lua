-- Which specs are about a file of the client, the quickest first: for scripts/mutate.

-- By the beginning of its path behind lua/daytona/; the longest that fits counts.
local SPECS = {
  ["init.lua"] = "smoke exec",
  ["health.lua"] = "",
  ["base/compat.lua"] = "native task loop",
  ["base/errors.lua"] = "errors http",
  ["base/formats.lua"] = "options tools_schema",
  ["base/gitignore.lua"] = "gitignore",
  ["base/known_secrets.lua"] = "tools_texts errors",
  ["base/line_buffer.lua"] = "reader job",
  ["base/methods.lua"] = "prompt calls bad_input",
  ["base/native.lua"] = "native",
  ["base/numeral.lua"] = "numeral",
  ["base/options.lua"] = "options bad_input",
  ["base/redact.lua"] = "errors",
  ["base/random.lua"] = "timers",
  ["base/sdk_names.lua"] = "prompt sdk_names",
  ["base/shell.lua"] = "options shell",
  ["base/tar.lua"] = "tar fs_sync",
  ["base/"] = "options errors exec",
  ["loop/"] = "loop task callback",
  ["loop/closing.lua"] = "task lifecycle bad_input interrupt",
  ["loop/driver/"] = "loop",
  ["loop/deadline.lua"] = "timers task",
  ["loop/timers.lua"] = "timers loop",
  ["loop/unhandled.lua"] = "task",
  ["loop/init.lua"] = "loop task callback exec",
  -- The specs of these run under their hosts, and not here.
  ["loop/driver/cqueues.lua"] = "",
  ["loop/driver/ngx.lua"] = "",
  ["loop/driver/uv.lua"] = "",
  ["loop/interrupt.lua"] = "loop task interrupt cli_programs",
  ["http/url.lua"] = "url options paths",
  ["http/json.lua"] = "json http",
  ["http/retry.lua"] = "http broken_streams",
  ["http/names.lua"] = "options json lifecycle",
  ["http/websocket.lua"] = "websocket pty",
  ["http/stream.lua"] = "http stream",
  ["http/failure.lua"] = "errors http failures_service",
  ["http/calls.lua"] = "calls odd_answers services",
  ["http/hooks.lua"] = "hooks",
  ["http/sse.lua"] = "sse",
  ["http/socket_io.lua"] = "socket_io events",
  ["http/"] = "http sent_once hooks failures_service",
  ["control/budget.lua"] = "budget",
  ["control/build.lua"] = "image_upload build_log services",
  ["control/events.lua"] = "events webhook",
  ["control/event_stream.lua"] = "events socket_io",
  ["control/lease.lua"] = "lease",
  ["control/ahead.lua"] = "ahead",
  ["control/account.lua"] = "services control_plane config",
  ["control/custody.lua"] = "lease leftovers",
  ["control/env_file.lua"] = "config",
  ["control/fate.lua"] = "leftovers",
  ["control/ledger"] = "leftovers",
  ["control/old_ledgers.lua"] = "leftovers",
  ["control/ssh.lua"] = "machine services",
  ["control/leftovers.lua"] = "leftovers",
  ["control/owner.lua"] = "lease leftovers",
  ["control/pool.lua"] = "pool",
  ["control/config.lua"] = "config",
  ["control/build_log.lua"] = "build_log",
  ["control/create.lua"] = "create lifecycle",
  ["control/undo.lua"] = "create lifecycle",
  ["control/create_options.lua"] = "create bad_input",
  ["control/list.lua"] = "list services",
  ["control/walk.lua"] = "list services",
  ["control/preview.lua"] = "machine preview services",
  ["control/telemetry.lua"] = "telemetry machine",
  ["control/life.lua"] = "life lifecycle create",
  ["control/family.lua"] = "life services control_plane",
  ["control/explain.lua"] = "explain",
  ["control/preview_request.lua"] = "wait_for",
  ["control/raw.lua"] = "raw",
  ["control/wait_for.lua"] = "wait_for",
  ["control/watch.lua"] = "life lifecycle events services",
  ["control/webhook.lua"] = "webhook",
  ["control/"] = "create life services lifecycle control_plane",
  ["toolbox/fs/"] = "fs fs_plan fs_content fs_sync fs_sync_failures",
  ["toolbox/fs/upload.lua"] = "fs fs_whole failures_file",
  ["toolbox/fs/body.lua"] = "fs fs_whole failures_file",
  ["toolbox/fs/place.lua"] = "fs fs_whole fs_sync_failures",
  ["toolbox/fs/download.lua"] = "fs fs_content failures_file",
  ["toolbox/fs/file.lua"] = "fs_content",
  ["toolbox/fs/search.lua"] = "fs_content fs",
  ["toolbox/fs/download_many.lua"] = "fs_many failures_file",
  ["toolbox/fs/upload_many.lua"] = "fs_many fs_whole failures_file",
  ["toolbox/fs/plan.lua"] = "fs_plan fs_sync",
  ["toolbox/fs/pace.lua"] = "fs_plan fs_sync",
  ["image/"] = "image_text image_files image_upload",
  ["toolbox/fs/gitignore.lua"] = "gitignore fs_sync",
  ["toolbox/fs/watch.lua"] = "fs_watch",
  ["toolbox/computer/"] = "computer odd_answers",
  ["toolbox/git.lua"] = "git odd_answers",
  ["toolbox/job"] = "job small_shells",
  ["toolbox/interact.lua"] = "shell",
  ["toolbox/interpreter.lua"] = "interpreter broken_streams",
  ["toolbox/lsp.lua"] = "lsp odd_answers",
  ["toolbox/machine.lua"] = "machine legacy",
  ["toolbox/pty"] = "pty broken_streams",
  ["toolbox/reader.lua"] = "reader pty job",
  ["toolbox/session.lua"] = "session sent_once legacy",
  ["toolbox/follow.lua"] = "session quiet",
  ["toolbox/command.lua"] = "session quiet legacy",
  ["toolbox/watch.lua"] = "session quiet legacy",
  ["toolbox/exec"] = "exec run sent_once",
  ["toolbox/process.lua"] = "exec run",
  ["toolbox/"] = "exec run session job odd_answers",
  ["cli/output.lua"] = "cli_output cli cli_sandboxes",
  ["cli/words.lua"] = "cli_words cli cli_sandboxes cli_programs",
  ["cli/"] = "cli cli_sandboxes cli_files cli_programs",
  ["agent/acp/"] = "acp",
  ["agent/acp/project.lua"] = "acp_project acp",
  ["agent/context.lua"] = "agent",
  ["agent/events.lua"] = "agent",
  ["agent/init.lua"] = "agent",
  ["agent/model/"] = "agent",
  ["agent/transcript.lua"] = "agent",
  ["agent/run.lua"] = "agent agent_sandbox",
  ["agent/repository_sandbox.lua"] = "tools_components",
  ["agent/argv.lua"] = "mcp_stdio acp",
  ["agent/capture.lua"] = "tools_coding tools_session tools_operations mcp_stdio",
  ["agent/arguments.lua"] = "tools_call",
  ["agent/desktop.lua"] = "tool_reference tools_native computer",
  ["agent/edit.lua"] = "tools_texts tools_coding",
  ["agent/expression.lua"] = "expression workflow",
  ["agent/forms.lua"] = "tools_schema tools_call",
  ["agent/globs.lua"] = "tools_texts tools_coding",
  ["agent/keys.lua"] = "tools_native",
  ["agent/output.lua"] = "tools_texts tools_call mcp_stdio",
  ["agent/mime.lua"] = "tools_texts mcp_stdio",
  ["agent/outcome.lua"] = "tools_call",
  ["agent/patch"] = "tools_texts tools_coding tools_native",
  ["agent/schema.lua"] = "tools_schema tools_call",
  ["agent/shape.lua"] = "tool_reference tools_schema",
  ["agent/workflow.lua"] = "workflow",
  ["agent/tools.lua"] = "tools_schema tools_call agent_sandbox",
  ["agent/native/"] = "tool_reference tools_native",
  ["agent/sets/coding.lua"] = "tool_reference tools_coding",
  ["agent/sets/components.lua"] = "tool_reference tools_components workflow",
  ["agent/sets/computer.lua"] = "tool_reference tools_native computer",
  ["agent/sets/daytona.lua"] = "tool_reference mcp_stdio tools_call tools_native",
  ["agent/sets/native.lua"] = "tool_reference tools_native",
  ["agent/sets/operations.lua"] = "tool_reference tools_operations mcp_stdio",
  ["agent/sets/session.lua"] = "tool_reference tools_session",
  ["agent/mcp/"] = "mcp_stdio mcp_http",
  ["agent/mcp/ngx.lua"] = "",
  ["agent/store/ngx.lua"] = "",
  ["agent/mcp/http.lua"] = "mcp_http",
  ["agent/store/"] = "tools_session mcp_http",
  ["agent/"] = "tools_schema tools_call tools_coding tools_session",
}

local specs_of = {}

---@param names string  of spec files, with spaces between them
---@return string[]  the paths of those that there are
function specs_of.paths(names)
  local list = {}
  for spec in names:gmatch "%S+" do
    local path = "spec/" .. spec .. "_spec.lua"
    local there = io.open(path)
    if there then
      there:close()
      list[#list + 1] = path
    end
  end
  return list
end

---@param file string  "lua/daytona/..."
---@return string[]  spec files
function specs_of.file(file)
  local name = file:match "lua/daytona/(.*)$" or file
  local longest = ""
  for prefix in pairs(SPECS) do
    if #prefix > #longest and name:sub(1, #prefix) == prefix then longest = prefix end
  end
  return specs_of.paths(SPECS[longest] or "")
end

return specs_of
