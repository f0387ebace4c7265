-- Code as a shell script, for daemons that know commands only: what newer ones do
-- with it themselves. Charts are theirs alone. It sends nothing.

local base64 = require "daytona.base.base64"

-- So that process.argv[1] is the first argument.
local NODE_PRELUDE = "process.argv.splice(1, 1);\n"

local SCRIPTS = {
  python = "printf %%s '%s' | base64 -d | python3 -u - %s",
  javascript = "printf %%s '%s' | base64 -d | node - %s",
  typescript = [[
dtn_file="${TMPDIR:-/tmp}/dtn_$$.ts"
printf %%s '%s' | base64 -d >"$dtn_file"
npm_config_loglevel=error npx ts-node -T --ignore-diagnostics 5107 -O '{"module":"CommonJS"}' "$dtn_file" %s
dtn_code=$?
rm -f "$dtn_file"
exit $dtn_code]],
}

---The script that runs code of a language.
---@param language "python"|"javascript"|"typescript"
---@param code string
---@param arguments string[]  quoted for the shell
---@return string
return function(language, code, arguments)
  if language ~= "python" then code = NODE_PRELUDE .. code end
  return SCRIPTS[language]:format(base64.encode(code), table.concat(arguments, " "))
end
