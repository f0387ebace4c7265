-- A real server of S3's interface over TLS, for the specs of one file: versitygw, which keeps
-- objects as files.
--
--   local server, missing = require("spec.support.s3").start()
--   server.grant          as the service's push-access: where, and with which key
--   server.certificate    whom to trust
--   server:get(key)       the content of an object
--   server:stop()

local shell = require "daytona.base.shell"

local M = {}

local Server = {}
Server.__index = Server

-- The hash of no bytes.
local NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

local BUCKET, ORGANIZATION = "contexts", "0a-org"

local function output(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- The program: on the PATH, or as interop/run installs it.
local function find(name, place)
  local found = output(("command -v %s || ls %s"):format(name, place)):match "^(/?[^\n]*)"
  return found and output("test -x " .. shell.quote(found) .. " && printf yes") == "yes" and found or nil
end

local function text_of(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text or ""
end

-- Starts a program in the folder; waits until its log holds a text.
local function run(self, command, sign)
  local log = self.dir .. "/log"
  self.pid = output(("cd %s && { %s >log 2>&1 </dev/null & echo $!; }"):format(self.dir, command)):match "%d+"
  for _ = 1, 600 do
    local found = text_of(log):match(sign)
    if found then return found end
    if output("kill -0 " .. self.pid) ~= "" then break end
    os.execute "sleep 0.05"
  end
  error("it did not start: " .. text_of(log))
end

local function launch(self, program)
  self.grant.access_key, self.grant.secret = "VGWKEY", "vgw/Secret+1"
  output(("mkdir -p %s/data/%s %s/meta"):format(self.dir, BUCKET, self.dir))
  local port = ("%d"):format(require("spec.support.ports").free())
  run(self, ("ROOT_ACCESS_KEY_ID=VGWKEY ROOT_SECRET_ACCESS_KEY=vgw/Secret+1 exec %s "
    .. "-p 127.0.0.1:%s --cert $PWD/cert.pem --key $PWD/key.pem "
    .. "posix --sidecar $PWD/meta $PWD/data"):format(program, port), "listening on")
  self.grant.storage_url = "https://localhost:" .. port
end

---Starts it; nil and what is missing.
function M.start()
  local program = find("versitygw", "interop/node_modules/.bin/versitygw")
  if not program then return nil, "versitygw is not installed (make interop does that)" end
  if program:sub(1, 1) ~= "/" then program = output("pwd"):match "[^\n]*" .. "/" .. program end
  local self = setmetatable({ dir = output("mktemp -d"):match "[^\n]*" }, Server)
  self.certificate = self.dir .. "/cert.pem"
  self.grant = { organization_id = ORGANIZATION, bucket = BUCKET, region = "us-east-1" }
  output(("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
    .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"):format(self.dir))
  local fine, why = pcall(launch, self, shell.quote(program))
  if fine then return self end
  self:stop()
  error(why, 0)
end

---The content of an object of the organization.
function Server:get(key)
  local file = self.dir .. "/object"
  local said = output(("curl -sS -m 60 -f -o %s --cacert %s --aws-sigv4 aws:amz:us-east-1:s3 --user %s:%s "
    .. "-H x-amz-content-sha256:%s %s/%s/%s/%s"):format(file, self.certificate, self.grant.access_key,
    self.grant.secret, NOTHING, self.grant.storage_url, BUCKET, ORGANIZATION, key))
  local text = text_of(file)
  os.remove(file)
  return said == "" and text or nil, said
end

function Server:stop()
  if self.pid then output(("kill %s; while kill -0 %s; do sleep 0.05; done"):format(self.pid, self.pid)) end
  output("rm -rf " .. shell.quote(self.dir))
end

return M
