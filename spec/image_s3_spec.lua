-- Images' files in a real server of S3's interface, over TLS: signatures and parts as it checks
-- them. (Session tokens are checked by the local server's store, and by moto in `make interop`.)

local core = require "daytona.base.native"
local daytona = require "daytona"
local image = require "daytona.image"
local stores = require "daytona.image.object_store"

describe("files of images in a real store", function()
  local server, missing, client, service
  local files = require("spec.support.files").new()
  setup(function()
    server, missing = require("spec.support.s3").start()
    if not server then return end
    service = require("spec.support.service").start()
    client = service:connect { ca_file = server.certificate }
  end)
  teardown(function()
    if not server then return end
    client:close()
    service:stop()
    server:stop()
  end)
  before_each(function() files:fresh() end)
  after_each(function() files:sweep() end)

  local function granted(changes)
    local grant = {}
    for field, value in pairs(server.grant) do grant[field] = value end
    for field, value in pairs(changes or {}) do grant[field] = value end
    return grant
  end

  local function store_of(grant, ca)
    local way = (ca or client):connection_of "spec"
    return stores.new(way, function() return grant end)
  end

  -- The archive of a folder with so many random bytes.
  local function pack(size)
    files:sh(("mkdir -p app; head -c %d /dev/urandom >app/data"):format(size))
    local value = image.base "b:1":add_local_dir(files.folder .. "/app", "/srv")
    return assert(require("daytona.image.archive").pack(rawget(value, "contexts")[1]))
  end

  local function check(archive, key)
    local content, why = server:get(key)
    assert.is_truthy(content, why)
    assert.equal(archive.hash, core.hex(core.sha256(content)))
  end

  it("are missing, then put, then there", function()
    if not server then return pending(missing) end
    local archive = pack(100000)
    local store, key = store_of(granted()), archive.hash .. "/context.tar"
    assert.is_false(store:has(key))
    assert.is_true(store:put(key, archive))
    assert.is_true(store:has(key))
    check(archive, key)
  end)

  it("are put in parts, several at once", function()
    if not server then return pending(missing) end
    local single, part = stores.SINGLE, stores.PART
    finally(function() stores.SINGLE, stores.PART = single, part end)
    stores.SINGLE, stores.PART = 6 * 1048576, 5 * 1048576 -- S3 takes no smaller parts
    local archive = pack(23 * 1048576)
    local key = archive.hash .. "/context.tar"
    assert.is_true(store_of(granted()):put(key, archive))
    check(archive, key)
  end)

  it("are refused with a wrong key or token, or by a server that nobody vouches for", function()
    if not server then return pending(missing) end
    local archive = pack(1000)
    local wrong = { { secret = "wrong" }, { access_key = "AKIAWRONG" }, { session_token = "wrong" } }
    for _, changes in ipairs(wrong) do
      local done, err = store_of(granted(changes)):put("k/context.tar", archive)
      assert.is_nil(done)
      assert.is_true(err.status >= 400 and err.status <= 404, tostring(err))
      assert.is_nil(tostring(err):find(server.grant.secret, 1, true))
    end
    local done, err = store_of(granted(), service.client):put("k/context.tar", archive)
    assert.is_nil(done)
    assert.equal("tls", err.kind)
  end)

  it("are what a sandbox is built of", function()
    if not server then return pending(missing) end
    local g = server.grant
    assert(service.server:faults { path = "/object-storage/push-access", status = 200, body = {
      accessKey = g.access_key, secret = g.secret, sessionToken = g.session_token or "", storageUrl = g.storage_url,
      organizationId = g.organization_id, bucket = g.bucket,
    } })
    finally(function() assert(service.server:clear_faults()) end)
    files:sh "mkdir app; echo hello >app/a"
    local value = daytona.image.base "debian:12":add_local_dir(files.folder .. "/app", "/srv")
    local box = assert(client:create { image = value })
    local hash = box.raw.buildInfo.contextHashes[1]
    local content = assert(server:get(hash .. "/context.tar"))
    assert.equal(hash, core.hex(core.sha256(content)))
    assert.truthy(content:find("hello\n", 1, true))
    box:delete()
  end)
end)
