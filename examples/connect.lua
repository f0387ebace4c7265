-- What the examples begin with: a client. With DAYTONA_API_KEY set it is one of
-- the service; without, a local server is started, which ends with the program.

local daytona = require "daytona"

if os.getenv "DAYTONA_API_KEY" or os.getenv "DAYTONA_JWT_TOKEN" then
  return daytona.assert(daytona.new())
end

local server = daytona.assert(require("daytona.devserver").start())
print("no DAYTONA_API_KEY is set: using a local server at " .. server.api_url)
if not server.isolated then
  print("(bubblewrap is missing or not allowed here: its sandboxes are NOT isolated from this machine)")
end
print()

local client = daytona.assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
client.server = server -- as long as the client is there
return client
