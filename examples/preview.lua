-- A web server in a sandbox, seen from here: started, waited for, and shown by an address that
-- a browser opens for an hour. Enter ends it.
--
--   lua5.4 examples/preview.lua [FOLDER]       what is served; without, a page of our own

local daytona = require "daytona"
local check = daytona.assert
local client = check(require("daytona.devserver").client())
local folder, PORT = arg[1], 8000

daytona.using(check(client:create { labels = { example = "preview" } }), function(sb)
  if folder then
    check(sb.fs:sync(folder, "site"))
  else
    check(sb.fs:write("site/index.html", "<h1>hello from a sandbox</h1>\n"))
  end
  local server = check(sb:popen(("python3 -m http.server %d"):format(PORT), { cwd = "site", stderr = "stdout" }))
  check(sb:wait_for_port(PORT, { timeout = 20 }))
  print("open " .. check(sb:preview_url(PORT, { expires_in = 3600 })).url)
  io.read()
  check(server:kill())
end)
