-- TLS and HTTP/2 in front of a server that speaks plain HTTP/1.1, as a service has it: an
-- nginx that keeps nothing back. WebSockets pass.
--
--   local front = require("spec.support.tls_front").start(port)
--   front.port  front.certificate (a path)  front:stop()

local nginx = require "spec.support.nginx"
local ports = require "spec.support.ports"
local shell = require "daytona.base.shell"

local CONFIG = [[
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:@OWN@ ssl http2;
    ssl_certificate @CERTIFICATE@;
    ssl_certificate_key @KEY@;
    client_max_body_size 0;
    location / {
      proxy_pass http://127.0.0.1:@PORT@;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
]]

local Front = {}
Front.__index = Front

function Front:stop()
  self.server:stop()
  os.execute("rm -rf " .. self.folder)
end

---Makes a certificate for the names, and its key: their paths.
---@param folder string
---@param name string   of the files
---@param names string  "DNS:localhost,IP:127.0.0.1"
local function certificate(folder, name, names)
  local path, key = folder .. "/" .. name .. ".pem", folder .. "/" .. name .. "-key.pem"
  assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
    .. "-subj /CN=localhost -addext %s -keyout %s -out %s 2>/dev/null; chmod 644 %s")
    :format(shell.quote("subjectAltName=" .. names), key, path, key)))
  return path, key
end

local function start(port)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder .. " && chmod 755 " .. folder))
  local path, key = certificate(folder, "own", "DNS:localhost,IP:127.0.0.1")
  local values = { CERTIFICATE = path, KEY = key, PORT = port, OWN = ("%d"):format(ports.free()) }
  local server = nginx.start { http = (CONFIG:gsub("@(%u+)@", values)) }
  return setmetatable({ folder = folder, certificate = path, port = values.OWN, server = server }, Front)
end

return { start = start, certificate = certificate }
