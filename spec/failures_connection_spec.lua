-- What a user gets when the service cannot be reached, or not safely: for each
-- operation the right kind of error in good time, and nothing left behind.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local ports = require "spec.support.ports"
local socket = require "cqueues.socket"
local trials = require "spec.support.trial"

local trial, impostor, silent

-- A port of this machine where somebody never answers.
local function port_of(server)
  server:listen()
  local _, _, port = server:localname()
  return port
end

setup(function()
  impostor = assert(require("daytona.devserver").start { tls = true })
  silent = socket.listen("127.0.0.1", 0)
  trial = trials.start()
end)

teardown(function()
  silent:close()
  trial:stop()
  impostor:stop()
end)

before_each(function() trial:begin() end)

-- The operation goes to another address: its client's, or its sandbox's.
local function go_to(base, opts)
  opts = trial.merge({ api_url = base .. "/api" }, opts)
  if base:find "^http:" then opts.insecure_http = true end
  local client = trial:connect(opts)
  trial:use(client, base .. "/toolbox")
  return client
end

local FAILURES = {
  { "nobody listens", "connection connect", function() go_to("http://127.0.0.1:" .. ports.NOBODY) end },
  { "the host name does not exist", "connection resolve", function() go_to "http://name.invalid" end },
  { "the certificate is signed by nobody", "tls tls", function() go_to((impostor.api_url:gsub("/api$", ""))) end },
  { "the other side speaks no TLS", "tls tls", function()
    go_to((trial.server.api_url:gsub("^http:(.*)/api$", "https:%1")))
  end },
  { "the other side never says a word", "timeout connect_timeout", function()
    go_to("https://127.0.0.1:" .. port_of(silent), { connect_timeout = 0.1 })
  end },
}

local function check(operation, err, expected)
  assert.is_true(errors.is(err), tostring(err))
  assert.equal(expected, err.kind .. " " .. err.code, tostring(err))
  assert.equal(operation.says or operation.name, err.operation)
  assert.is_nil(err.status)
  if operation.inside then assert.equal(trial.home.id, err.sandbox.id) end
  if operation.changes then assert.equal(trial.spare, err.sandbox.id) end
end

for _, failure in ipairs(FAILURES) do
  describe("when " .. failure[1] .. ",", function()
    for _, operation in ipairs(trials.operations()) do
      it(operation.name .. " says so", function()
        trial:prepare(operation)
        failure[3]()
        local before = loop.now()
        local result, err = trial:run(operation)
        assert.is_nil(result)
        check(operation, err, failure[2])
        assert.is_true(loop.now() - before < 5)
        assert.equal(0, trial:requests(operation))
        assert.equal(0, trial:after(err))
      end)
    end
  end)
end

describe("with a certificate that is to be trusted,", function()
  it("the same server is fine", function()
    local client = assert(daytona.new {
      api_url = impostor.api_url, api_key = impostor.api_key, ca_file = impostor.certificate,
    })
    assert(client:list())
    trial:after()
  end)
end)

describe("a connection that cannot be made", function()
  it("is tried again for every operation", function()
    for _, operation in ipairs(trials.operations()) do
      trial:prepare(operation)
      go_to("http://127.0.0.1:" .. ports.NOBODY, { max_retries = 1 })
      trial.begun = 0
      local result, err = trial:run(operation)
      assert.is_nil(result)
      check(operation, err, "connection connect")
      assert.equal(2, trial.begun, operation.name)
      trial:reset()
    end
    trial:after()
  end)
end)
