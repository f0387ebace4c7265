--- POST /process/code-run: a piece of Python, JavaScript or TypeScript, run by
-- the sandbox's own interpreter, and the charts that it drew.
--
-- The code reaches the interpreter as its standard input (descriptor 3 of the
-- shell that starts it). The arguments are joined unquoted, as the service
-- does: quoting them is the client's part.

local charts = require "daytona.devserver.toolbox.charts"
local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local process = require "daytona.devserver.toolbox.process"

local code_run = {}

local MARKER = "dtn_artifact_k39fd2:"

-- So that process.argv[1] is the first argument.
local NODE_PRELUDE = "process.argv.splice(1, 1);\n"

-- npx would ask its registry about a ts-node that is not there.
local TYPESCRIPT = [[
if command -v ts-node >/dev/null 2>&1; then set -- ts-node
elif npm_config_offline=true npx --no-install ts-node --version >/dev/null 2>&1; then set -- npx --no-install ts-node
else echo "ts-node: command not found" >&2; exit 127
fi
export npm_config_loglevel=error
dtn_file=/tmp/dtn_$$.ts
cat <&3 >"$dtn_file"
"$@" -T --ignore-diagnostics 5107 -O '{"module":"CommonJS"}' "$dtn_file" %s 3<&- </dev/null
dtn_code=$?
rm -f "$dtn_file"
exit $dtn_code
]]

local SCRIPT = {
  python = "exec python3 -u - %s <&3 3<&-\n",
  javascript = "exec node - %s <&3 3<&-\n",
  typescript = TYPESCRIPT,
}

-- Whether Python code seems to import matplotlib, outside of a comment.
local function draws(code)
  for line in code:gmatch "[^\n]+" do
    local before = line:match "^(.-)matplotlib"
    if before and not before:find("#", 1, true)
      and (before:find "import" or before:find "from%s" or before:find "loader"
        or before:find "sys%.modules") then
      return true
    end
  end
  return false
end

-- A Python literal of these bytes.
local function bytes_literal(code)
  return 'b"' .. code:gsub("[^%w ]", function(c)
    return ("\\x%02x"):format(c:byte())
  end) .. '"'
end

-- The program that runs `code` and prints each chart as one marked line.
local function with_charts(code)
  return charts .. "\n_dtn_main(" .. bytes_literal(code) .. ")\n"
end

local function source(language, code)
  if language == "python" then
    return draws(code) and with_charts(code) or code
  end
  return NODE_PRELUDE .. code
end

-- Lists of a chart that must stay lists when they are empty.
local LISTS = {
  x_ticks = true, y_ticks = true, x_tick_labels = true, y_tick_labels = true,
  elements = true, points = true, outliers = true,
}

local function mark_lists(value)
  for key, item in pairs(value) do
    if type(item) == "table" then
      if LISTS[key] then json.array(item) end
      mark_lists(item)
    end
  end
  return value
end

-- Adds the chart of a marked line; returns whether it was one.
local function read_artifact(line, found, seen)
  local artifact = json.decode(line)
  if type(artifact) ~= "table" or artifact.type ~= "chart"
    or type(artifact.value) ~= "table" then
    return false
  end
  if not seen[line] then
    seen[line] = true
    found[#found + 1] = mark_lists(artifact.value)
  end
  return true
end

--- Takes the marked lines out of an output: each line that begins with the
-- marker, and a chart printed after the beginning of a line.
---@param output string
---@return string output
---@return table? charts  nil when there was none
function code_run.extract(output)
  local kept, found, seen = {}, {}, {}
  local from, search = 1, 1
  while true do
    local at, last = output:find(MARKER, search, true)
    if not at then break end
    local stop = output:find("\n", last, true) or #output
    local chart = read_artifact(output:sub(last + 1, stop), found, seen)
    if chart or at == 1 or output:sub(at - 1, at - 1) == "\n" then
      kept[#kept + 1] = output:sub(from, at - 1)
      from = stop + 1
    end
    search = stop + 1
  end
  kept[#kept + 1] = output:sub(from)
  return table.concat(kept), found[1] and found or nil
end

--- POST /process/code-run
function code_run.run(req)
  local f = fields.read(req, {
    code = "string!", language = "string!", argv = "strings", envs = "map", timeout = "uint32",
  })
  local script = SCRIPT[f.language]
  if not script then
    failures.raise(400, "unsupported language: " .. f.language)
  end
  environment.check(f.envs)
  local arguments = table.concat(f.argv or {}, " ")
  local exit_code, chunks = process.run {
    script = script:format(arguments),
    code = source(f.language, f.code), envs = f.envs, timeout = f.timeout,
  }
  local output, drawn = code_run.extract(table.concat(chunks))
  return process.answer(exit_code, { output }, drawn and { charts = drawn })
end

return code_run
