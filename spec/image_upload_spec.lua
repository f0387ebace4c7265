-- Images with files of this machine, all the way: handed over to the local server's object
-- store, which checks each signature, and built into sandboxes and snapshots.

local daytona = require "daytona"
local image = require "daytona.image"
local stores = require "daytona.image.object_store"

describe("an image with local files", function()
  local service
  local files = require("spec.support.files").new()
  setup(function() service = require("spec.support.service").start() end)
  teardown(function() service:stop() end)
  before_each(function()
    files:fresh()
    assert(service.server:clear_faults())
    assert(service.server:forget_requests())
    files:sh "mkdir app; echo one >app/a"
  end)
  after_each(function() files:sweep() end)

  local n = 0
  -- An image whose files nobody has handed over before.
  local function fresh(size)
    n = n + 1
    files:put("app/new", n .. ("x"):rep(size or 0))
    return image.base "debian:12":add_local_dir(files.folder .. "/app", "/srv")
  end

  -- What the store was asked: "HEAD 404, PUT 200".
  local function asked()
    local out = {}
    for _, request in ipairs(assert(service.server:requests())) do
      if request.path:find "^/daytona/" then out[#out + 1] = request.method .. " " .. (request.status or "none") end
    end
    return table.concat(out, ", ")
  end

  -- Limits as if archives were large at so many bytes.
  local SINGLE, PART = stores.SINGLE, stores.PART
  local function parts_of(bytes)
    finally(function() stores.SINGLE, stores.PART = SINGLE, PART end)
    stores.SINGLE, stores.PART = bytes, bytes
  end

  it("is built into a sandbox", function()
    local lines = {}
    local box = assert(service.client:create {
      image = fresh():env { A = "1" }, on_build_log = function(line) lines[#lines + 1] = line end,
    })
    local info = box.raw.buildInfo
    assert.equal('FROM debian:12\nCOPY ["app", "/srv"]\nENV A=1\n', info.dockerfileContent)
    assert.equal(1, #info.contextHashes)
    assert.matches("^%x+$", info.contextHashes[1])
    assert.equal(64, #info.contextHashes[1])
    assert.equal("HEAD 404, PUT 200", asked())
    assert.matches("Step 2/3 : COPY", table.concat(lines, "\n"))
    box:delete()
  end)

  it("is handed over once, however often it is used", function()
    local value = fresh()
    assert(service.client:create { image = value }):delete()
    assert(service.client:create { image = value:workdir "/srv" }):delete()
    assert.equal("HEAD 404, PUT 200, HEAD 200", asked())
  end)

  it("is built into a snapshot, with an entrypoint", function()
    local lines = {}
    local value = fresh()
    local snapshot = assert(service.client.snapshots:create {
      name = "of-image", image = value, entrypoint = { "sleep", "9" },
      on_build_log = function(line) lines[#lines + 1] = line end,
    })
    assert.same({ "sleep", "9" }, snapshot.entrypoint)
    assert.matches('COPY %["app", "/srv"%]\nENTRYPOINT %["sleep", "9"%]\n$', snapshot.raw.buildInfo.dockerfileContent)
    assert.equal(1, #snapshot.raw.buildInfo.contextHashes)
    assert.matches("Step 3/3 : ENTRYPOINT", table.concat(lines, "\n"))
    assert.equal('FROM debian:12\nCOPY ["app", "/srv"]\n', (value:dockerfile())) -- as it was
    snapshot:delete { wait = true }
    local plain = assert(service.client.snapshots:create { name = "plain",
      image = image.base "debian:12":run_commands "ls" })
    assert.equal("FROM debian:12\nRUN ls\n", plain.raw.buildInfo.dockerfileContent)
    plain:delete { wait = true }
  end)

  it("goes in parts where it is large, several at once, each of them again when it fails", function()
    parts_of(100000)
    local value = fresh(950000)
    assert(service.server:faults {
      { method = "PUT", path = "/daytona/*", after = 2, times = 2, status = 503 },
      { method = "PUT", path = "/daytona/*", after = 5, times = 1, reset = true },
      { method = "PUT", path = "/daytona/*", after = 6, times = 1, cut_after = 0 },
    })
    local box = assert(service.client:create { image = value })
    local seen = asked()
    assert.matches("^HEAD 404, POST 200, PUT", seen)
    assert.matches("POST 200$", seen)
    local _, done = seen:gsub("PUT 200", "")
    assert.is_true(done >= 10, seen)
    assert.equal(1, service:count("GET", "/object-storage/push-access"))
    -- what came together is what was sent
    local grant = service.client:request("GET", "/object-storage/push-access").json
    local got = files.folder .. "/got"
    files:sh(("curl -sS -o got --aws-sigv4 aws:amz:us-east-1:s3 --user %s:%s -H 'x-amz-security-token: %s' "
      .. "%s/daytona/%s/%s/context.tar")
      :format(grant.accessKey, grant.secret, grant.sessionToken, grant.storageUrl, grant.organizationId,
        box.raw.buildInfo.contextHashes[1]))
    assert.equal(box.raw.buildInfo.contextHashes[1], files:sh("sha256sum " .. got):match "%x+")
    box:delete()
  end)

  it("drops the parts of what cannot be completed", function()
    parts_of(100000)
    assert(service.server:faults { method = "PUT", path = "/daytona/*", after = 3, status = 403,
      body = "<Error><Code>AccessDenied</Code><Message>Not you</Message></Error>" })
    local box, err = service.client:create { image = fresh(500000) }
    assert.is_nil(box)
    assert.equal("forbidden", err.kind)
    assert.equal("AccessDenied", err.code)
    assert.equal("Not you", err.message)
    assert.matches("DELETE 204", asked()) -- the other parts may be told later
    assert.equal(0, service:count("POST", "/sandbox"))
  end)

  it("is there when the answer that said so was lost", function()
    parts_of(100000)
    assert(service.server:faults { method = "POST", path = "/daytona/*", after = 1, times = 1, drop = true,
      handled = true })
    assert(service.client:create { image = fresh(250000) }):delete()
    assert(service.server:clear_faults())
    parts_of(64 * 1024 * 1024)
    assert(service.server:faults { method = "PUT", path = "/daytona/*", times = 1, drop = true, handled = true })
    assert(service.client:create { image = fresh() }):delete()
  end)

  it("is handed over where the store may not tell whether it is there", function()
    assert(service.server:faults { method = "HEAD", path = "/daytona/*", status = 403 })
    assert(service.client:create { image = fresh() }):delete()
    assert.equal("HEAD 403, PUT 200", asked())
  end)

  it("asks for another key when the one it has is over", function()
    local expired = { method = "PUT", path = "/daytona/*", times = 1, status = 400,
      body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>" }
    assert(service.server:faults(expired))
    assert(service.client:create { image = fresh() }):delete()
    assert.equal(2, service:count("GET", "/object-storage/push-access"))
    local loop = require "daytona.loop"
    local now = loop.now
    local value = fresh():add_local_file(files.folder .. "/app/a", "/a")
    local late = 0
    loop.now = function() return now() + late end
    local put = stores.new
    finally(function() stores.new, loop.now = put, now end)
    stores.new = function(...)
      local store = put(...)
      local has = store.has
      function store.has(...) -- each archive takes more than an hour
        late = late + 4000
        return has(...)
      end
      return store
    end
    assert(service.server:forget_requests())
    assert(service.client:create { image = value, timeout = 0 }):delete()
    assert.equal(2, service:count("GET", "/object-storage/push-access"))
  end)

  it("tells in the store's words what it refuses, and no secret", function()
    local body = "<Error><Code>RequestTimeTooSkewed</Code>"
      .. "<Message>The difference is too large &amp; more.</Message></Error>"
    assert(service.server:faults { method = "PUT", path = "/daytona/*", status = 403, body = body })
    local box, err = service.client:create { image = fresh() }
    assert.is_nil(box)
    assert.equal("The difference is too large & more. (this machine's clock is wrong)", err.message)
    assert.equal(files.folder .. "/app", err.what)
    assert.is_nil(tostring(err):find("Signature=", 1, true))
    assert(service.server:clear_faults())
    assert(service.server:faults { path = "/object-storage/push-access", status = 503,
      body = { message = "Object storage is not configured" } })
    box, err = service.client:create { image = fresh() }
    assert.is_nil(box)
    assert.equal("unavailable", err.kind)
    assert.equal("Object storage is not configured", err.message)
  end)

  it("does not begin with what is missing, nor go where it would be seen", function()
    local value = image.base "debian:12":add_local_dir(files.folder .. "/nope", "/srv")
    local box, err = service.client:create { image = value }
    assert.is_nil(box)
    assert.equal("not_found", err.kind)
    local snapshot
    snapshot, err = service.client.snapshots:create { name = "x", image = value }
    assert.is_nil(snapshot)
    assert.equal("not_found", err.kind)
    assert.equal("", asked())
    for url, message in pairs {
      ["http://s3.example.com"] = "must not go to: http://s3.example.com", [""] = "no storage_url",
    } do
      assert(service.server:clear_faults())
      assert(service.server:faults { path = "/object-storage/push-access", status = 200, body = {
        accessKey = "a", secret = "hush-hush", sessionToken = "t", storageUrl = url, organizationId = "o", bucket = "b",
      } })
      box, err = service.client:create { image = fresh() }
      assert.is_nil(box)
      assert.equal("protocol", err.kind)
      assert.truthy(err.message:find(message, 1, true))
    end
    for host, kind in pairs { ["127.0.0.1:1"] = "connection", ["http://["] = "protocol" } do
      assert(service.server:clear_faults())
      assert(service.server:faults { path = "/object-storage/push-access", status = 200, body = {
        accessKey = "a", secret = "s", sessionToken = "t", storageUrl = host, organizationId = "o", bucket = "b",
      } })
      box, err = service.client:create { image = fresh(), timeout = 5 }
      assert.is_nil(box)
      assert.equal(kind, err.kind) -- without a scheme it is https
    end
    local fine
    fine, err = stores.can_sign "libcurl/7.81.0 OpenSSL/3.0.2"
    assert.is_nil(fine)
    assert.equal("unsupported", err.kind)
    assert.is_true(stores.can_sign "libcurl/8.5.0")
  end)

  it("ends when it is cancelled or the time is over, and no sandbox is asked for", function()
    assert(service.server:faults { method = "PUT", path = "/daytona/*", hold = 30 })
    local box, err = service.client:create { image = fresh(), timeout = 0.3 }
    assert.is_nil(box)
    assert.equal("timeout", err.kind)
    box, err = daytona.within(0.3, function() return service.client:create { image = fresh() } end)
    assert.is_nil(box)
    assert.is_true(daytona.is_error(err))
    assert.equal(0, service:count("POST", "/sandbox"))
  end)

  it("is tried again where that may help, four times in all", function()
    local errors, http = require "daytona.base.errors", require "daytona.http"
    local request, pause = http.request, http.pause
    finally(function() http.request, http.pause = request, pause end) -- luacheck: ignore 122
    local kind, tries
    http.pause = function() return true end -- luacheck: ignore 122
    http.request = function(way) -- luacheck: ignore 122
      assert.equal(0, way.max_retries)
      tries = tries + 1
      return nil, errors.new { kind = kind, message = "no" }
    end
    local store = stores.new(service.client:connection_of "spec", function()
      return {
        access_key = "A", secret = "s", storage_url = "http://127.0.0.1:1", organization_id = "o", bucket = "b",
      }
    end)
    local times_of = { connection = 4, timeout = 4, unavailable = 4, server = 4, rate_limited = 4, auth = 1 }
    for again, times in pairs(times_of) do
      kind, tries = again, 0
      assert.equal(kind, select(2, store:has "k").kind)
      assert.equal(times, tries, kind)
    end
  end)

  it("is what image and create take, and nothing else", function()
    assert.is_true(rawequal(daytona.image, image))
    assert.error_matches(function() service.client:create { image = { text = "FROM x" } } end,
      "an image %(daytona.image%)")
    assert.error_matches(function() service.client:create { image = image.base "x", snapshot = "y" } end,
      "either image or snapshot")
    assert.error_matches(function()
      service.client.snapshots:create { name = "x", image = "debian:12", on_build_log = print }
    end, "on_build_log goes with what is built")
  end)

  it("is handed over in requests that sign nothing that a proxy may change", function()
    local peer = require("spec.support.peer").start()
    local http = require "daytona.http"
    local request, seen = http.request, nil
    http.request = function(...) -- luacheck: ignore 122
      local response, err = request(...)
      seen = response and response.body
      return response, err
    end
    finally(function()
      http.request = request -- luacheck: ignore 122
      peer:close()
    end)
    local archive = assert(require("daytona.image.archive").pack(rawget(fresh(), "contexts")[1]))
    assert(stores.new(service.client:connection_of "spec", function()
      return {
        access_key = "A", secret = "s", session_token = "token", storage_url = peer.url .. "/echo",
        organization_id = "o", bucket = "b",
      }
    end):put("k", archive))
    local signed = assert(seen:match "SignedHeaders=([^,]+)", seen)
    assert.equal("content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token", signed)
    assert.is_nil(seen:lower():find("\nuser-agent:", 1, true))
  end)
end)
