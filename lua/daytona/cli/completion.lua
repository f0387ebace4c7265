-- Completion for shells, made of the table of commands. Names of sandboxes, snapshots and
-- volumes are asked for when they are to be completed.

local commands = require "daytona.cli.commands"
local words = require "daytona.cli.words"

local completion = {}

-- What completes an argument, or the value of an option: a word for the scripts below.
local KINDS = {
  BOX = "box", SNAPSHOT = "snapshot", VOLUME = "volume", FILE = "file", DIR = "folder", FROM = "place", TO = "place",
  SHELL = "bash zsh", LANGUAGE = "python javascript typescript", STATE = "started stopped archived error",
  COMMAND = "command",
}

local function kind_of(word)
  return KINDS[word:match "%u+" or ""] or "-"
end

-- Names one may begin with, and behind which more follow: "snapshot" -> "ls create ...".
local function tree()
  local tops, below, seen = {}, {}, {}
  for _, command in ipairs(commands.list) do
    local top, sub = command.name:match "^(%S+) ?(.*)$"
    if not seen[top] then tops[#tops + 1] = top end
    seen[top] = true
    if sub ~= "" then below[top] = (below[top] and below[top] .. " " or "") .. sub end
  end
  return tops, below
end

-- "name) body;;" of each command and each option that has a value.
local function cases(of)
  local lines = {}
  for _, command in ipairs(commands.list) do lines[#lines + 1] = of(command) end
  return table.concat(lines)
end

local function options_case(command)
  local names = {}
  for _, option in ipairs(words.options(command)) do names[#names + 1] = "--" .. option[1] end
  return ("    '%s') echo '%s' ;;\n"):format(command.name, table.concat(names, " "))
end

local function values_case(command)
  local lines = {}
  for _, option in ipairs(words.options(command)) do
    if option[2] then
      lines[#lines + 1] = ("    '%s --%s') echo '%s' ;;\n"):format(command.name, option[1], kind_of(option[2]))
    end
  end
  return table.concat(lines)
end

local function arguments_case(command)
  local kinds = {}
  for word in command.args:gmatch "[^%s%[%]]+" do
    if word == "--" then break end
    local kind = kind_of(word)
    kinds[#kinds + 1] = kind:find " " and "'" .. kind .. "'" or kind
    if word:find "%.%.%.$" or word == "TO" then kinds[#kinds + 1] = "..." end
  end
  return ("    '%s') set -- %s ;;\n"):format(command.name, table.concat(kinds, " "))
end

local FUNCTIONS = [=[
# Completion of daytona-lua, made by: daytona-lua completion %s

_daytona_lua_options() {
  case $1 in
%s  esac
}

_daytona_lua_value() { # COMMAND OPTION
  case "$1 $2" in
%s  esac
}

_daytona_lua_argument() { # COMMAND NUMBER
  local n=$2 last=-
  case $1 in
%s    *) set -- ;;
  esac
  while [ $# -gt 0 ]; do
    if [ "$1" = ... ]; then echo "$last"; return; fi
    if [ "$n" = 1 ]; then echo "$1"; return; fi
    last=$1 n=$((n - 1))
    shift
  done
}

_daytona_lua_below() {
  case $1 in
%s  esac
}

_daytona_lua_top='%s'

# The words that may stand here, or "file" or "folder".
_daytona_lua_words() { # KIND
  case $1 in
    box) daytona-lua ls 2>/dev/null | cut -f1 ;;
    snapshot) daytona-lua snapshot ls 2>/dev/null | cut -f1 ;;
    volume) daytona-lua volume ls 2>/dev/null | cut -f1 ;;
    place) daytona-lua ls 2>/dev/null | cut -f1 | sed 's/$/:/' ;;
    command) echo "$_daytona_lua_top" ;;
    -) ;;
    *) echo "$1" ;;
  esac
}

# What may stand behind these words: "KIND ..." of a value or an argument, or words.
_daytona_lua_at() { # WORD... (those before the one to complete; the first is the program)
  local command='' number=1 before='' word
  shift
  if [ $# -eq 0 ]; then echo command; return; fi
  command=$1
  shift
  if [ -n "$(_daytona_lua_below "$command")" ]; then
    if [ $# -eq 0 ]; then _daytona_lua_below "$command"; return; fi
    command="$command $1"
    shift
  fi
  for word; do
    if [ -n "$before" ]; then before=''; continue; fi
    case $word in
      --*=*) ;;
      --?*) [ -z "$(_daytona_lua_value "$command" "$word")" ] || before=$word ;;
      --) return ;;
      -?*) ;;
      *) number=$((number + 1)) ;;
    esac
  done
  if [ -n "$before" ]; then _daytona_lua_value "$command" "$before"; return; fi
  _daytona_lua_argument "$command" "$number"
  echo "options $command"
}
]=]

local BASH = [=[

_daytona_lua() {
  local current=${COMP_WORDS[COMP_CWORD]} at kind command=''
  COMPREPLY=()
  at=$(_daytona_lua_at "${COMP_WORDS[@]:0:COMP_CWORD}")
  while read -r kind; do
    case $kind in
      "options "*) command=${kind#options } ;;
      file) COMPREPLY+=($(compgen -f -- "$current")) ;;
      folder) COMPREPLY+=($(compgen -d -- "$current")) ;;
      place) # a colon begins another word for bash
        compopt -o nospace 2>/dev/null
        COMPREPLY+=($(compgen -W "$(_daytona_lua_words place)" -- "$current") $(compgen -f -- "$current")) ;;
      *) COMPREPLY+=($(compgen -W "$(_daytona_lua_words "$kind")" -- "$current")) ;;
    esac
  done <<<"$at"
  if [[ $current == -* && -n $command ]]; then
    COMPREPLY=($(compgen -W "$(_daytona_lua_options "$command")" -- "$current"))
  fi
}

complete -F _daytona_lua daytona-lua
]=]

local ZSH = [=[

_daytona_lua() {
  local at kind command=''
  at=$(_daytona_lua_at "${(@)words[1,CURRENT-1]}")
  for kind in "${(@f)at}"; do
    case $kind in
      "options "*) command=${kind#options } ;;
      file) _files ;;
      folder) _files -/ ;;
      place) compadd -S '' -- $(_daytona_lua_words place); _files ;;
      *) compadd -- $(_daytona_lua_words "$kind") ;;
    esac
  done
  if [[ $PREFIX == -* && -n $command ]]; then compadd -- $(_daytona_lua_options "$command"); fi
}

compdef _daytona_lua daytona-lua
]=]

local function functions(shell)
  local tops, below = tree()
  local families = {}
  for top, list in pairs(below) do families[#families + 1] = ("    %s) echo '%s' ;;\n"):format(top, list) end
  table.sort(families)
  return FUNCTIONS:format(shell, cases(options_case), cases(values_case), cases(arguments_case),
    table.concat(families), table.concat(tops, " "))
end

---A script to be sourced by bash.
---@return string
function completion.bash()
  return functions "bash" .. BASH
end

---A script to be sourced by zsh, after compinit.
---@return string
function completion.zsh()
  return functions "zsh" .. ZSH
end

return completion
