-- Answers that travel packed (gzip): asked for where they are kept in memory, unpacked as they
-- come, capped by what they unpack to; and what is packed wrongly, or without being asked.

local daytona = require "daytona"
local errors = require "daytona.base.errors"

local peer, client, place

setup(function()
  peer = require("spec.support.peer").start()
  place = os.tmpname()
end)

teardown(function()
  peer:close()
  os.remove(place)
end)

local function new_client(opts)
  opts.api_key, opts.api_url, opts.max_retries = "sk-secret", peer.url, opts.max_retries or 0
  return assert(daytona.new(opts))
end

before_each(function() client = new_client {} end)

-- Where the peer answers with the gzip stream of a text, which `change` may spoil.
local function packed(text, change)
  local gzip = assert(io.popen("gzip -c >'" .. place .. "'", "w"))
  gzip:write(text)
  gzip:close()
  if change then
    local file = assert(io.open(place, "rb"))
    local stream = change(file:read "*a")
    file:close()
    file = assert(io.open(place, "wb"))
    file:write(stream)
    file:close()
  end
  return "/packed/" .. place:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

local function cut(stream) return stream:sub(1, -20) end

describe("a packed answer", function()
  it("is asked for, and read as if it were none", function()
    local text = '{"rows":[' .. ('"row",'):rep(20000) .. '"end"]}'
    local answer = assert(client:request("GET", packed(text)))
    assert.equal(text, answer.body)
    assert.equal(20001, #answer.json.rows)
  end)

  it("brings a command's output, too", function()
    local sandbox = client:attach "packed"
    sandbox.toolbox_proxy_url = peer.url .. packed('{"exitCode":3,"result":"' .. ("line "):rep(30000) .. '"}')
    local result = assert(sandbox:exec "anything")
    assert.equal(3, result.exit_code)
    assert.equal(("line "):rep(30000), result.result)
  end)

  it("is not asked for by a client that wants none", function()
    local plain = new_client { compression = false }
    assert.is_false(assert(plain:request("GET", packed "{}")).json.asked)
    assert.is_nil(assert(plain:request("GET", "/echo")).body:lower():find "accept%-encoding")
    local answer, err = plain:request("GET", packed "{}" .. "?unasked=1")
    assert.is_nil(answer)
    assert.is_true(errors.is(err, "protocol"))
    assert.truthy(err.message:find("packed (gzip), which was not asked for", 1, true), err.message)
  end)

  it("is given as it comes to who asks for it in the request", function()
    for _, sort in ipairs { "gzip", "br" } do
      local asking = { headers = { ["Accept-Encoding"] = sort } }
      local answer = assert(client:request("GET", packed "{}" .. "?unasked=1", asking))
      assert.equal("gzip", answer.headers["content-encoding"])
      assert.equal("\31\139", answer.body:sub(1, 2))
    end
  end)

  it("is no larger than allowed once it is unpacked", function()
    local careful = new_client { max_bytes = 1024 * 1024 }
    local bomb = packed(("\0"):rep(10 * 1024 * 1024))
    local answer, err = careful:request("GET", bomb)
    assert.is_nil(answer)
    assert.is_true(errors.is(err, "too_large"))
    assert.equal(10 * 1024 * 1024, #assert(client:request("GET", bomb)).body)
  end)

  it("that ends too early is cut, and asked for again", function()
    local path = packed('{"a":"' .. ("b"):rep(1000) .. '"}', cut)
    local answer, err = client:request("GET", path)
    assert.is_nil(answer)
    assert.equal("truncated", err.code)
    local before = peer:stats().requests[path]
    answer, err = new_client({ max_retries = 1 }):request("GET", path)
    assert.is_nil(answer)
    assert.equal("truncated", err.code)
    assert.equal(before + 2, peer:stats().requests[path])
  end)

  it("that is something else says so", function()
    local path = packed("{}", function() return "{}" end)
    local answer, err = client:request("GET", path)
    assert.is_nil(answer)
    assert.is_true(errors.is(err, "protocol"))
    assert.truthy(err.message:find("not packed as it says", 1, true), err.message)
  end)

  it("of a failure tells why", function()
    local path = packed '{"message":"this cannot be"}'
    local _, err = client:request("GET", path .. "?status=409")
    assert.is_true(errors.is(err, "conflict"))
    assert.truthy(err.message:find("this cannot be", 1, true))
    _, err = new_client({ compression = false }):request("GET", path .. "?status=409&unasked=1")
    assert.is_true(errors.is(err, "conflict"))
    assert.equal(409, err.status)
  end)

  it("is not asked for where a file goes on where it was cut", function()
    local sandbox = client:attach "plain"
    sandbox.toolbox_proxy_url = peer.url .. "/echo"
    assert.is_nil(assert(sandbox.fs:read("/x", { offset = 1 })):lower():find "accept%-encoding")
    local came = {}
    assert(sandbox.fs:download("/x", function(chunk) came[#came + 1] = chunk end))
    assert.is_nil(table.concat(came):lower():find "accept%-encoding")
  end)
end)
