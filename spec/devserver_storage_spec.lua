-- The local server's object store, as curl signs for it: what it takes, keeps, and refuses.

local shell = require "daytona.base.shell"

describe("the object store of the local server", function()
  local plane, access, dir

  local function run(command)
    local pipe = assert(io.popen(command .. " 2>&1"))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  setup(function()
    plane = require("spec.support.plane").start()
    access = plane:must("GET", "/object-storage/push-access")
    dir = run("mktemp -d"):gsub("%s", "")
  end)
  teardown(function()
    run("rm -rf " .. shell.quote(dir))
    plane:stop()
  end)

  -- A signed request: the body of the answer, and its status at the end.
  local function curl(path, arguments, with)
    with = with or access
    return run(("curl -sS -m 20 --aws-sigv4 aws:amz:%s:s3 --user %s:%s -H 'x-amz-security-token: %s' "
      .. "-w ' %%{http_code}' %s %s"):format(
        access.region, with.accessKey, with.secret, with.sessionToken, arguments or "",
        shell.quote(access.storageUrl .. path)))
  end

  local function key(name) return ("/%s/%s/%s"):format(access.bucket, access.organizationId, name) end

  local function file_of(content)
    local path = dir .. "/body"
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
    return path
  end

  local function hash_of(path) return run("sha256sum < " .. path):match "^%x+" end

  -- PUTs a file with the hash of its content signed.
  local function put(path, content, hash)
    local file = file_of(content)
    return curl(path, ("-T %s -H 'x-amz-content-sha256: %s'"):format(file, hash or hash_of(file)))
  end

  it("is told where it is, and with what to sign", function()
    for _, field in ipairs { "accessKey", "secret", "sessionToken", "storageUrl", "organizationId", "bucket",
      "region" } do
      assert.is_string(access[field], field)
    end
  end)

  it("keeps what is put into it", function()
    local content = ("\0\255 data\n"):rep(50000)
    assert.equal(" 200", put(key "a/context.tar", content))
    assert.truthy(curl(key "a/context.tar", "-I"):find("content-length: " .. #content, 1, true))
    assert.equal(" 200", curl(key "a/context.tar", "-o " .. dir .. "/got"))
    local got = io.open(dir .. "/got", "rb")
    assert.is_true(got:read "*a" == content)
    got:close()
    assert.truthy(curl(key "none", "-I"):find " 404$")
    assert.truthy(curl(key "none"):find "NoSuchKey.* 404$")
    assert.truthy(curl(("/%s/?list-type=2&prefix=%s%%2Fa"):format(access.bucket, access.organizationId))
      :find("<Key>" .. access.organizationId .. "/a/context.tar</Key>", 1, true))
    assert.equal(" 204", curl(key "a/context.tar", "-X DELETE"))
    assert.truthy(curl(key "a/context.tar", "-I"):find " 404$")
  end)

  it("takes a file in parts, whatever their order, and joins them in theirs", function()
    local id = curl(key "big" .. "?uploads=", "-X POST"):match "<UploadId>(%x+)</UploadId>"
    local tags = {}
    for _, n in ipairs { 2, 1 } do
      local file = file_of(("part %d;"):format(n):rep(1000))
      local head = curl(("%s?partNumber=%d&uploadId=%s"):format(key "big", n, id),
        ("-D - -T %s -H 'x-amz-content-sha256: %s'"):format(file, hash_of(file)))
      tags[n] = head:match '[Ee][Tt]ag: "(%x+)"'
    end
    local function complete(list)
      local xml = {}
      for i, n in ipairs(list) do
        xml[i] = ("<Part><ETag>\"%s\"</ETag><PartNumber>%d</PartNumber></Part>"):format(tags[n], n)
      end
      return curl(("%s?uploadId=%s"):format(key "big", id), "-X POST -H 'content-type: application/xml' --data-binary "
        .. shell.quote("<CompleteMultipartUpload>" .. table.concat(xml) .. "</CompleteMultipartUpload>"))
    end
    assert.truthy(complete({ 2, 1 }):find "InvalidPartOrder.* 400$")
    assert.truthy(complete({ 1, 2 }):find '%-2&quot;.* 200$')
    local whole = curl(key "big")
    assert.equal(("part 1;"):rep(1000) .. ("part 2;"):rep(1000) .. " 200", whole)
    assert.truthy(complete({ 1, 2 }):find "NoSuchUpload.* 404$")
  end)

  it("refuses what is not signed, wrongly signed, or for others", function()
    local unsigned = run("curl -sS -w ' %{http_code}' " .. shell.quote(access.storageUrl .. key "x"))
    assert.truthy(unsigned:find "AccessDenied.* 403$")
    local function with(name, value)
      local other = {}
      for k, v in pairs(access) do other[k] = v end
      other[name] = value
      return other
    end
    assert.truthy(curl(key "x", nil, with("secret", "wrong")):find "SignatureDoesNotMatch.* 403$")
    assert.truthy(curl(key "x", nil, with("accessKey", "wrong")):find "InvalidAccessKeyId.* 403$")
    assert.truthy(curl(key "x", nil, with("sessionToken", "wrong")):find "InvalidToken.* 400$")
    assert.truthy(curl("/" .. access.bucket .. "/other/x"):find "AccessDenied.* 403$")
    local climbing = curl(key "../../x", "--path-as-is") -- newer curls do not sign such a path at all
    assert.truthy(climbing:find "AccessDenied.* 403$" or climbing:find " 000$")
    assert.truthy(curl("/elsewhere/x"):find "NoSuchBucket.* 404$")
    assert.truthy(curl(key "x", "-H 'x-amz-date: 20200101T000000Z'"):find "RequestTimeTooSkewed.* 403$")
    assert.truthy(put(key "x", "one body", hash_of(file_of "another")):find "XAmzContentSHA256Mismatch.* 400$")
    assert.truthy(curl(key "x", "-I"):find " 404$")
  end)

  it("forgets a grant after an hour, and hands out another", function()
    assert(plane.server:advance(3601))
    assert.truthy(curl(key "x"):find "ExpiredToken.* 400$")
    access = plane:must("GET", "/object-storage/push-access")
    assert.equal(" 200", put(key "x", "again"))
  end)

  it("commits faults as the rest does", function()
    assert(plane.server:faults { path = "*/faulty", status = 503, times = 1 })
    assert.truthy(put(key "faulty", "x"):find " 503$")
    assert.equal(" 200", put(key "faulty", "x"))
    assert(plane.server:clear_faults())
  end)
end)
