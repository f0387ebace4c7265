-- Clones a repository into a sandbox, runs its tests there, and ends as they did.
--
--   lua5.4 examples/repository_check.lua [URL [COMMAND]]
--
-- GIT_USERNAME and GIT_TOKEN are for a private one; the token shows in no command line. Without
-- a URL a small repository is made in the sandbox first.

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local url, command = arg[1], arg[2] or "make test"

  local SAMPLE = [[
git init -q -b main sample && cd sample && git config user.name me && git config user.email me@example.org
printf 'test:\n\t@echo 1..2; echo ok 1; echo ok 2\n' >Makefile
git add -A && git commit -qm sample && pwd
]]

  local code = daytona.using(check(client:create { labels = { example = "repository_check" } }), function(sb)
    if not url then url = check(sb:exec(SAMPLE, { check = true })).result:gsub("\n$", "") end
    check(sb.git:clone(url, "work", { username = os.getenv "GIT_USERNAME", password = os.getenv "GIT_TOKEN" }))
    local commit = check(sb:exec("git log -1 --format='%h %s'", { cwd = "work" }))
    print("checking " .. commit.result:gsub("\n", ""))
    local tests = check(sb:exec(command, { cwd = "work", timeout = 1800, on_output = function(t) io.write(t) end }))
    print((tests.exit_code == 0 and "passed" or "failed") .. " (exit code " .. tests.exit_code .. ")")
    return tests.exit_code
  end)
  return code
end)
