-- Webhooks: signatures as Svix makes them, and the flat messages of the service.

local cjson = require "cjson"
local daytona = require "daytona"

local core = require "daytona.base.native"

-- Svix's own example of how to verify by hand.
local SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local EXAMPLE = {
  ["svix-id"] = "msg_p5jXN8AQM9LWM0D4loKWxJek", ["svix-timestamp"] = "1614265330",
  ["svix-signature"] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
local EXAMPLE_BODY = '{"test": 2432232314}'

local BODY = cjson.encode {
  event = "sandbox.state.updated", timestamp = "2026-11-26T01:02:03.000Z", id = "sb-1", organizationId = "o",
  oldState = "starting", newState = "started", updatedAt = "2026-11-26T01:02:03.000Z",
}

local function signed(body, time, secret)
  local key = core.unbase64((secret or SECRET):gsub("^whsec_", ""))
  return {
    ["Svix-Id"] = "msg_1", ["Svix-Timestamp"] = tostring(time),
    ["Svix-Signature"] = "v1,bm90IGl0 v1," .. core.base64(core.hmac_sha256(key, ("msg_1.%d.%s"):format(time, body))),
  }
end

describe("a webhook", function()
  it("with the signature of the secret is believed", function()
    -- The example is signed right, and is no event of this service.
    local event, err = daytona.webhook.parse(EXAMPLE_BODY, EXAMPLE, { secret = SECRET, now = 1614265330 })
    assert.is_nil(event)
    assert.equal("protocol", err.kind)
    event = assert(daytona.webhook.parse(BODY, signed(BODY, 1000), { secret = SECRET, now = 1100 }))
    assert.equal("sandbox.state.updated", event.kind)
    assert.same({ "sb-1", "starting", "started", "2026-11-26T01:02:03.000Z" },
      { event.id, event.old_state, event.new_state, event.timestamp })
    assert.is_nil(event.sandbox)
    assert.equal("sandbox.state.updated (sb-1: starting to started)", tostring(event))
  end)

  it("may be signed under one of several secrets, and under Svix's other names", function()
    local headers = {}
    for name, value in pairs(signed(BODY, 1000)) do headers[name:gsub("^Svix", "webhook")] = { value } end
    assert(daytona.webhook.parse(BODY, headers, { secret = { "whsec_b3RoZXI=", SECRET }, now = 1000 }))
    assert(daytona.webhook.parse(BODY, headers, { secret = { SECRET }, now = 1000 }))
  end)

  it("is not read with a secret that is none", function()
    for _, none in ipairs { "", {}, { 5 }, 5 } do
      assert.error_matches(function() daytona.webhook.parse(BODY, signed(BODY, 1000), { secret = none }) end,
        "webhook.parse: option 'secret' must be the endpoint's signing secret, or a list of them")
    end
  end)

  it("that is not is refused", function()
    local function refused(body, headers, code, opts)
      opts = opts or {}
      opts.secret, opts.now = opts.secret or SECRET, opts.now or 1000
      local event, err = daytona.webhook.parse(body, headers, opts)
      assert.is_nil(event)
      assert.equal("auth " .. code, err.kind .. " " .. err.code)
      assert.is_nil(tostring(err):find("MfKQ", 1, true))
    end
    refused(BODY .. " ", signed(BODY, 1000), "signature")
    refused(BODY, signed(BODY, 1000), "signature", { secret = "whsec_b3RoZXI=" })
    refused(BODY, {}, "unsigned")
    for _, name in ipairs { "Svix-Id", "Svix-Timestamp", "Svix-Signature" } do
      local lacking = signed(BODY, 1000)
      lacking[name] = nil
      refused(BODY, lacking, "unsigned")
    end
    refused(BODY, signed(BODY, 1000), "timestamp", { now = 1301 })
    refused(BODY, signed(BODY, 1000), "timestamp", { now = 699 })
    local headers = signed(BODY, 1000)
    headers["Svix-Timestamp"] = "soon"
    refused(BODY, headers, "timestamp")
    headers = signed(BODY, 1000)
    headers["Svix-Timestamp"] = "1001"
    refused(BODY, headers, "signature")
    headers = signed(BODY, 1000)
    headers["Svix-Signature"] = headers["Svix-Signature"]:gsub("v1,", "v1a,")
    refused(BODY, headers, "signature")
    assert(daytona.webhook.parse(BODY, signed(BODY, 1000), { secret = SECRET, now = 99999, tolerance = 0 }))
  end)

  it("gives the objects that events give", function()
    local client = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1" })
    local event = assert(daytona.webhook.parse(BODY, {}, { unverified = true, client = client }))
    assert.equal("daytona.Sandbox", getmetatable(event.sandbox).__name)
    assert.same({ "sb-1", "started" }, { event.sandbox.id, event.sandbox.state })
    for kind, class in pairs { snapshot = "daytona.Snapshot", volume = "daytona.Volume" } do
      event = assert(daytona.webhook.parse(cjson.encode {
        event = kind .. ".created", timestamp = "t", id = "x", name = "n", state = "active",
      }, {}, { unverified = true, client = client }))
      assert.equal(class, getmetatable(event[kind]).__name)
      assert.equal("n", event[kind].name)
    end
    event = assert(daytona.webhook.parse('{"event":"planet.created","id":"p"}', {}, { unverified = true }))
    assert.same({ "planet.created", "p" }, { event.kind, event.id })
  end)

  it("of anything else is no event, and raises nothing", function()
    for _, body in ipairs {
      "", "{", "[]", "null", "5", "{}", '{"event":5}', '{"event":"x"}', '{"event":"a.b","id":1}',
    } do
      local event, err = daytona.webhook.parse(body, {}, { unverified = true })
      assert.is_nil(event, body)
      assert.equal("protocol", err.kind)
    end
  end)

  it("is not to be believed by mistake", function()
    for text, call in pairs {
      ["give the endpoint's 'secret', or say"] = function() return daytona.webhook.parse(BODY, {}) end,
      ["the secret is not one"] = function() return daytona.webhook.parse(BODY, signed(BODY, 1), { secret = "ä" }) end,
      ["the headers must be a table"] = function() return daytona.webhook.parse(BODY) end,
    } do
      local fine, message = pcall(call)
      assert.is_false(fine)
      assert.truthy(message:find(text, 1, true), message)
    end
  end)
end)
