-- A first sandbox: commands, code, files, a clone. `make demo` runs this.
--
--   lua5.4 examples/quickstart.lua

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())

  -- `using` deletes the sandbox at the end, whatever happens. On Lua 5.4 this does
  -- the same: local sb <close> = check(client:create { ... })
  daytona.using(check(client:create { language = "python", labels = { example = "quickstart" } }), function(sb)
    print("created    " .. tostring(sb))

    local r = check(sb:exec "uname -s; whoami; pwd")
    print("a command  " .. r.result:gsub("\n", " ") .. "(exit code " .. r.exit_code .. ")")

    r = check(sb:exec({ "printf", "[%s] ", "arguments need", "no 'quoting'" }))
    print("arguments  " .. r.result)

    r = check(sb:run("import sys; print('python', sys.version.split()[0], 'says', sum(range(101)), sys.argv[1:])",
      { argv = { "$HOME stays as it is" } }))
    print("code       " .. (r.result:gsub("\n", "")))

    local info = check(sb.fs:upload(arg[0], "work/"))
    print("uploaded   " .. info.path .. ", " .. info.size .. " bytes")

    check(sb.fs:write("work/notes.txt", "hello from Lua\n"))
    local copy = os.tmpname()
    info = check(sb.fs:download("work/notes.txt", copy))
    print("downloaded " .. info.name .. ", " .. info.size .. " bytes, " .. info.mime_type)
    os.remove(copy)

    for _, entry in ipairs(check(sb.fs:list "work")) do
      print(("  %s %6d  %s"):format(entry.mode, entry.size, entry.name))
    end

    check(sb:exec([[
    git init -q -b main project && cd project
    git config user.name me && git config user.email me@example.org
    echo 'print("hi")' > hi.lua && git add . && git commit -qm "first"
  ]], { check = true }))
    local clone = check(sb.git:clone("file://" .. check(sb:work_dir()) .. "/project", "copy"))
    print("cloned     into " .. clone.path .. ": " .. check(sb:exec "git -C copy log --oneline").result:gsub("\n", ""))

    local _, err = sb.fs:read "no/such/file"
    print("an error   " .. tostring(err))
  end)

  print("deleted    the sandbox is gone")
end)
