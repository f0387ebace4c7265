-- Tar archives as the tar program reads them: what is written for an entry, and what it
-- makes of that.

local tar = require "daytona.base.tar"

-- Runs tar over an archive of these headers and contents; its output.
local function run(options, ...)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(...)
  file:write(tar.ENDING)
  file:close()
  local pipe = assert(io.popen(("LC_ALL=C TZ=UTC tar %s -f %s 2>&1"):format(options, path)))
  local out = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return (out:gsub(" +", " "))
end

local function whole(path, entry, content)
  local header = tar.header(path, entry)
  assert.equal(tar.size(path, entry), #header)
  return header .. (content or "") .. tar.padding(#(content or ""))
end

describe("a tar archive", function()
  it("says of each entry what it is", function()
    assert.equal("-rw-r--r-- 0/0 3 2026-11-26 00:00:00 f\n", run("-tv --numeric-owner --full-time",
      whole("f", { type = "file", size = 3, mode = 420, seconds = 1795651200 }, "abc")))
    assert.equal("drwxr-x--- 0/0 0 1970-01-01 00:00:00 d\n", run("-tv --numeric-owner --full-time",
      whole("d", { type = "directory", size = 4096, mode = 488, seconds = 0 })))
    assert.equal("lrwxrwxrwx 0/0 0 1970-01-01 00:00:01 l -> to\n", run("-tv --numeric-owner --full-time",
      whole("l", { type = "link", mode = 511, seconds = 1, target = "to" })))
  end)

  it("has names and targets of any length", function()
    for _, n in ipairs { 1, 99, 100, 101, 255, 256, 511, 512, 513, 1100 } do
      local name, target = ("n"):rep(n), ("t"):rep(n)
      assert.equal(name .. "\nend\n", run("-t", whole(name, { type = "file", size = 0, mode = 420, seconds = 1 }),
        whole("end", { type = "file", size = 0, mode = 420, seconds = 1 })))
      assert.truthy(run("-tv", whole(name, { type = "link", mode = 511, seconds = 1, target = target }))
        :find(" " .. name .. " -> " .. target .. "\n", 1, true), n)
    end
  end)

  it("has files of any length", function()
    for _, n in ipairs { 0, 1, 511, 512, 513 } do
      local content = ("c"):rep(n)
      assert.equal(content .. "z", run("-xO", whole("f", { type = "file", size = n, mode = 420, seconds = 1 }, content),
        whole("g", { type = "file", size = 1, mode = 420, seconds = 1 }, "z")))
    end
    -- Where the field of the size is; GNU's numbers have a bit of their own and eleven bytes.
    local function size_field(size)
      return tar.header("f", { type = "file", size = size, mode = 420, seconds = 1 }):sub(125, 136)
    end
    assert.equal("77777777777\0", size_field(8 ^ 11 - 1))
    assert.equal("\128\0\0\0\0\0\0\2\0\0\0\0", size_field(8 ^ 11))
    assert.equal("\128\0\0\0\0\0\0\2\0\0\1\5", size_field(8 ^ 11 + 256 + 5))
    assert.equal("\128\0\0\0\0\1\2\3\4\5\6\7", size_field(0x01020304050607))
  end)

  it("has times before 1970, after 2242, and to the nanosecond", function()
    local pipe = assert(io.popen "mktemp -d")
    local folder = pipe:read "*l"
    pipe:close()
    finally(function() os.execute("rm -rf " .. folder) end)
    local cases = {
      { 2000000000, 123456789, "2033-05-18 03:33:20.123456789" }, { 2000000000, 1, "2033-05-18 03:33:20.000000001" },
      { 2000000000, nil, "2033-05-18 03:33:20.000000000" }, { 0, nil, "1970-01-01 00:00:00.000000000" },
      { -1, nil, "1969-12-31 23:59:59.000000000" }, { -1, 500000000, "1969-12-31 23:59:59.500000000" },
      { -2, 999999999, "1969-12-31 23:59:58.999999999" }, { -5, 1, "1969-12-31 23:59:55.000000001" },
      { -5, 0, "1969-12-31 23:59:55.000000000" },
      { 8 ^ 11 - 1, nil, "2242-03-16 12:56:31.000000000" }, { 8 ^ 11, nil, "2242-03-16 12:56:32.000000000" },
    }
    local archive, wanted = {}, {}
    for i, case in ipairs(cases) do
      archive[i] = whole(i .. "", { type = "file", size = 0, mode = 420, seconds = case[1], nanoseconds = case[2],
        exact = case[2] ~= nil })
      wanted[i] = case[3]
    end
    run("-x -C " .. folder, table.concat(archive))
    local times = assert(io.popen(("cd %s && TZ=UTC stat -c %%y $(ls | sort -n)"):format(folder)))
    local found = {}
    for line in times:lines() do found[#found + 1] = line:match "^[^+]*%d" end
    times:close()
    for i = 1, 9 do assert.equal(wanted[i], found[i]) end
    if found[10]:find "^2242" then assert.same(wanted, found) end -- not every file system has them
    local far = { type = "file", size = 0, mode = 420, seconds = 1e11 - 1 }
    assert.truthy(run("-tv --full-time", whole("f", far)):find("5138-11-16 09:46:39", 1, true))
    for seconds, bytes in pairs { [0] = 512, [8 ^ 11 - 1] = 512, [-1] = 1536, [8 ^ 11] = 1536 } do
      assert.equal(bytes, tar.size("f", { type = "file", size = 0, mode = 420, seconds = seconds }))
    end
  end)
end)
