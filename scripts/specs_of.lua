-- Which specs are about a file of the client, the quickest first: for scripts/mutate.

-- By the beginning of its path behind lua/daytona/; the longest that fits counts.
local SPECS = {
  ["init.lua"] = "smoke exec",
  ["health.lua"] = "",
  ["base/compat.lua"] = "native task loop",
  ["base/errors.lua"] = "errors http",
  ["base/formats.lua"] = "options tools_schema",
  ["base/gitignore.lua"] = "gitignore",
  ["base/line_buffer.lua"] = "stream reader job",
  ["base/methods.lua"] = "bad_input calls",
  ["base/native.lua"] = "native",
  ["base/numeral.lua"] = "numeral",
  ["base/options.lua"] = "options bad_input",
  ["base/redact.lua"] = "errors",
  ["base/sdk_names.lua"] = "sdk_names",
  ["base/shell.lua"] = "options shell",
  ["base/tar.lua"] = "fs_plan fs_sync fs_sync_failures",
  ["base/"] = "options errors exec",
  ["loop/"] = "loop task callback",
  ["loop/closing.lua"] = "task lifecycle bad_input interrupt",
  ["loop/driver/"] = "loop",
  ["http/url.lua"] = "url options paths",
  ["http/json.lua"] = "json http",
  ["http/names.lua"] = "options json lifecycle",
  ["http/websocket.lua"] = "websocket pty",
  ["http/stream.lua"] = "http stream",
  ["http/failure.lua"] = "errors http failures_service",
  ["http/calls.lua"] = "calls odd_answers services",
  ["http/"] = "http sent_once failures_service",
  ["control/config.lua"] = "config",
  ["control/build_log.lua"] = "build_log",
  ["control/create.lua"] = "create lifecycle",
  ["control/create_options.lua"] = "create bad_input",
  ["control/list.lua"] = "list services",
  ["control/walk.lua"] = "list services",
  ["control/preview.lua"] = "machine preview services",
  ["control/telemetry.lua"] = "telemetry machine",
  ["control/life.lua"] = "life lifecycle create",
  ["control/family.lua"] = "life services control_plane",
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
  ["image/"] = "image_text image_files",
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
  ["agent/arguments.lua"] = "tools_call",
  ["agent/desktop.lua"] = "tools_native computer",
  ["agent/edit.lua"] = "tools_coding",
  ["agent/expression.lua"] = "expression workflow",
  ["agent/forms.lua"] = "tools_schema tools_call",
  ["agent/globs.lua"] = "tools_coding",
  ["agent/keys.lua"] = "tools_native",
  ["agent/mime.lua"] = "mcp_stdio",
  ["agent/outcome.lua"] = "tools_call",
  ["agent/patch"] = "tools_coding tools_native",
  ["agent/schema.lua"] = "tools_schema tools_call",
  ["agent/shape.lua"] = "tools_schema",
  ["agent/workflow.lua"] = "workflow",
  ["agent/tools.lua"] = "tools_schema tools_call",
  ["agent/native/"] = "tools_native",
  ["agent/sets/coding.lua"] = "tools_coding",
  ["agent/sets/components.lua"] = "tools_components workflow",
  ["agent/sets/computer.lua"] = "tools_native computer",
  ["agent/sets/operations.lua"] = "tools_operations mcp_stdio",
  ["agent/sets/session.lua"] = "tools_session",
  ["agent/mcp/"] = "mcp_stdio mcp_http",
  ["agent/mcp/http.lua"] = "mcp_http",
  ["agent/store/"] = "mcp_http",
  ["agent/"] = "tools_schema tools_call tools_coding tools_session",
}

---@param file string  "lua/daytona/..."
---@return string[]  spec files
return function(file)
  local name = file:match "lua/daytona/(.*)$" or file
  local longest = ""
  for prefix in pairs(SPECS) do
    if #prefix > #longest and name:sub(1, #prefix) == prefix then longest = prefix end
  end
  local list = {}
  for spec in (SPECS[longest] or ""):gmatch "%S+" do
    local path = "spec/" .. spec .. "_spec.lua"
    local there = io.open(path)
    if there then
      there:close()
      list[#list + 1] = path
    end
  end
  return list
end
