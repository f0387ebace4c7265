-- A web server in a sandbox, seen from here: started, waited for, and shown by an address that
-- a browser opens for an hour. Enter ends it.
--
--   lua5.4 examples/preview.lua [FOLDER [PORT]]    what is served (or "", for a page of our
--                                                 own), and at which port (8000)

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local folder, port = arg[1] ~= "" and arg[1] or nil, math.floor(tonumber(arg[2]) or 8000)

  daytona.using(check(client:create { labels = { example = "preview" } }), function(sb)
    if folder then
      check(sb.fs:sync(folder, "site"))
    else
      check(sb.fs:write("site/index.html", "<h1>hello from a sandbox</h1>\n"))
    end
    local server = check(sb:popen(("python3 -m http.server %d"):format(port), { cwd = "site", stderr = "stdout" }))
    check(sb:wait_for_port(port, { timeout = 20 }))
    print("open " .. check(sb:preview_url(port, { expires_in = 3600 })).url)
    io.stdout:flush() -- print does not, in every Lua
    io.read()
    check(server:kill())
  end)
end)
