-- Tar archives as the tar program writes them, taken apart as they come; and what is none.

local untar = require "daytona.base.untar"

local dir

setup(function()
  dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
end)
teardown(function() os.execute("rm -rf " .. dir) end)

local function archive_of(command, options)
  local pipe = assert(io.popen(("cd %s && rm -rf t && mkdir t && cd t && %s && tar -cf - %s ."):format(dir, command,
    options or "")))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- Contents by path, in pieces of so many bytes; or nil and why.
local function read(text, step)
  local found, path, pieces = {}, nil, nil
  local reader = untar.new {
    open = function(name, size)
      path, pieces = name, {}
      if name:find "unwanted" then return false end
      found[name .. " size"] = size
      return true
    end,
    data = function(chunk)
      pieces[#pieces + 1] = chunk
      return true
    end,
    close = function()
      found[path] = table.concat(pieces)
      return true
    end,
  }
  for at = 1, #text, step do
    local fine, why = reader:feed(text:sub(at, at + step - 1))
    if not fine then return nil, why end
  end
  return found, reader.is_over
end

describe("an archive", function()
  local LONG = ("n"):rep(150)
  local MAKE = ("echo one >one; : >none; mkdir d; seq 1000 >d/seq; ln -s one l; echo no >unwanted; "
    .. "head -c 512 /dev/zero >block; mkdir -p %s/%s; echo deep >%s/%s/%s"):format(LONG, LONG, LONG, LONG, LONG)

  local function check(found, over)
    assert.is_true(over)
    assert.equal("one\n", found["./one"])
    assert.equal("", found["./none"])
    assert.equal(("\0"):rep(512), found["./block"])
    assert.equal(3893, #found["./d/seq"])
    assert.equal(3893, found["./d/seq size"])
    assert.equal("deep\n", found["./" .. LONG .. "/" .. LONG .. "/" .. LONG])
    assert.is_nil(found["./l"])
    assert.is_nil(found["./unwanted"])
  end

  for _, format in ipairs { "gnu", "ustar", "pax", "oldgnu" } do
    it("of the format " .. format .. " is read, however it is cut", function()
      local make = format == "ustar" and MAKE:gsub("mkdir %-p.*", "echo x >x") or MAKE
      local text = archive_of(make, "--format=" .. format)
      for _, step in ipairs { #text, 10240, 512, 513, 100, 7 } do
        local found, over = read(text, step)
        if format == "ustar" then found["./" .. LONG .. "/" .. LONG .. "/" .. LONG] = "deep\n" end
        check(found, over)
      end
    end)
  end

  it("has names with a prefix", function()
    local text = archive_of(("mkdir -p %s; echo x >%s/x"):format(("p"):rep(90) .. "/" .. ("q"):rep(60),
      ("p"):rep(90) .. "/" .. ("q"):rep(60)), "--format=ustar")
    assert.equal("x\n", read(text, #text)["./" .. ("p"):rep(90) .. "/" .. ("q"):rep(60) .. "/x"])
  end)

  it("that is cut has no end", function()
    local text = archive_of(MAKE)
    local _, over = read(text:sub(1, 5000), 512)
    assert.is_false(over)
  end)

  it("that is none says so", function()
    local noise = ("no archive "):rep(100)
    local found, why = read(noise, 100)
    assert.is_nil(found)
    assert.equal("it is no archive", why)
    local tar = require "daytona.base.tar"
    local head = tar.header("x", { type = "file", size = 5, mode = 420, seconds = 1 })
    local function with(at, bytes) return head:sub(1, at - 1) .. bytes .. head:sub(at + #bytes) end
    for _, size in ipairs { "99999999999", (" "):rep(12), "\128" .. ("\255"):rep(11) } do
      assert.is_nil((read(with(125, size), 512)))
    end
    for _, kind in ipairs { "L", "x" } do
      found, why = read(with(157, kind):gsub("0000000000%d", "77777777777", 1), 512)
      assert.is_nil(found)
      assert.truthy(why:find("longer", 1, true))
    end
    for _, record in ipairs { "5 a=b", "99 path=x\n", "x path=y\n", "2 path=x\n" } do
      local pax = tar.header("x", { type = "file", size = #record, mode = 420, seconds = 1 })
      found, why = read(pax:sub(1, 156) .. "x" .. pax:sub(158) .. record .. tar.padding(#record), 512)
      assert.is_nil(found, record)
      assert.equal("a malformed extension", why)
    end
  end)

  it("ends when its receiver says so", function()
    local text = archive_of(MAKE)
    local reader = untar.new { open = function() return nil, "no more" end }
    local fine, why = reader:feed(text)
    assert.is_nil(fine)
    assert.equal("no more", why)
  end)
end)

describe("a gzip stream", function()
  local core = require "daytona.base.native"

  it("is taken apart as it comes, one after the other, and known to be over", function()
    local packer = core.packer(5)
    local stream = packer:write(("text "):rep(1000)) .. packer:finish()
    local unpacker, list = core.unpacker(), {}
    assert.is_false(unpacker:is_over())
    for i = 1, #stream do
      assert.is_false(unpacker:is_over())
      list[i] = assert(unpacker:write(stream:sub(i, i)))
    end
    assert.is_true(unpacker:is_over())
    assert.equal(("text "):rep(1000), table.concat(list))
    assert.equal(("text "):rep(1000), unpacker:write(stream))
    assert.is_true(unpacker:is_over())
    local data, why = unpacker:write "garbage"
    assert.is_nil(data)
    assert.equal("it is no gzip stream, or damaged", why)
    unpacker:close()
    assert.has_error(function() unpacker:write "x" end, "attempt to use a closed unpacker")
    assert.truthy(tostring(unpacker):find "closed")
    assert.is_nil((core.unpacker():write(stream:sub(1, -3) .. "xx")))
  end)
end)
