-- help, version, completion.

local commands = require "daytona.cli.commands"
local output = require "daytona.cli.output"
local words = require "daytona.cli.words"

local about = {}

local OVERVIEW = [[
usage: daytona-lua COMMAND [OPTION...] [ARGUMENT...]

Sandboxes of the account of DAYTONA_API_KEY (and DAYTONA_API_URL). A BOX is a sandbox's
name or id.

%s
%s
Exit status: 0, 1 when it failed, 2 when it was not understood; exec, run and ssh end as
what they ran did (124: its time was over; 125: it could not be run).
]]

local function overview()
  local lines, width = {}, 0
  for _, command in ipairs(commands.list) do
    width = math.max(width, #command.name)
  end
  for _, command in ipairs(commands.list) do
    lines[#lines + 1] = ("  %-" .. width .. "s  %s\n"):format(command.name, command.about)
  end
  return OVERVIEW:format(table.concat(lines), "daytona-lua help COMMAND says what that takes.")
end

local function option_line(option)
  local name = (option[4] and "-" .. option[4] .. ", " or "") .. "--" .. option[1]
  if option[2] then name = name .. " " .. option[2]:gsub("%.%.%.$", "") end
  local kind = words.kind(option)
  local often = (kind == "map" or kind == "list") and " (may be repeated)" or ""
  return ("  %-24s %s%s\n"):format(name, option[3], often)
end

local function help_of(command)
  local usage = ("usage: daytona-lua %s [OPTION...] %s"):format(command.name, command.args):gsub("%s+$", "")
  local lines = { usage, "\n\n", command.about, "\n\n" }
  for _, option in ipairs(words.options(command)) do lines[#lines + 1] = option_line(option) end
  return table.concat(lines)
end

---@param call daytona.cli.Call
function about.help(call)
  local name = table.concat(call.args, " ")
  if name == "" then return output.write(overview()) end
  local command, _, why = commands.find(call.args)
  if not command then error(why, 0) end
  output.write(help_of(command))
end

function about.version()
  output.write("daytona-lua " .. require("daytona.version").library .. "\n")
end

---@param call daytona.cli.Call
function about.completion(call)
  local script = require("daytona.cli.completion")[call.args[1]]
  if not script then error("completion: there is one for bash and one for zsh", 0) end
  output.write(script())
end

return about
