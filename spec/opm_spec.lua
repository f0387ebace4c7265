-- dist.ini, by what `opm build` (OpenResty's package manager) demands of it.

local read = require("spec.support.documents").read

-- Name -> value; fails on what opm takes for no line of such a file.
local function ini(text)
  local values = {}
  for line in text:gmatch "([^\n]*)\n" do
    if not (line:find "^%s*$" or line:find "^%s*[#;]") then
      local name, value = line:match "^%s*([%w_]+)%s*=%s*(.-)%s*$"
      assert.truthy(name, line)
      assert.is_nil(values[name], name)
      values[name] = value
    end
  end
  return values
end

local MANDATORY = { "name", "abstract", "author", "is_original", "license", "repo_link" }
local KNOWN = {}
for _, name in ipairs(MANDATORY) do KNOWN[name] = true end
for name in ("version lib_dir doc_dir main_module requires exclude_files"):gmatch "%S+" do KNOWN[name] = true end

describe("dist.ini", function()
  local dist = ini(read "dist.ini")

  it("says all that opm asks for, and nothing that it does not know", function()
    for _, name in ipairs(MANDATORY) do assert.truthy((dist[name] or "") ~= "", name) end
    for name in pairs(dist) do assert.is_true(KNOWN[name], name) end
    assert.matches("^[%w-][%w-][%w-]+$", dist.name)
    assert.equal("mit", dist.license)
    assert.matches("^MIT License", read "LICENSE")
    assert.matches("^https://github%.com/[%w-]+/[%w-]+$", dist.repo_link)
    for _, name in ipairs { "lib_dir", "doc_dir", "main_module" } do
      assert.is_nil(dist[name]:find "^/" or dist[name]:find("..", 1, true), name)
    end
    assert.truthy(read "README.md")
  end)

  it("has the library's version, and its main module no other", function()
    assert.equal(require("daytona").version, dist.version)
    for line in read(dist.main_module):gmatch "[^\n]+" do
      local told = line:match "%f[%w]_?version%s*=%s*(.+)" or line:match "%f[%w]_?VERSION%s*=%s*(.+)"
      assert.is_nil(told and told:find "%d", line)
    end
  end)

  it("names folders whose files can be packed: compiled by LuaJIT, without a dash in their names", function()
    local files = io.popen(("find %s -name '*.lua'"):format(dist.lib_dir))
    local n = 0
    for path in files:lines() do
      n = n + 1
      assert.is_nil(path:find("-", 1, true), path) -- opm makes folders of dashes
      local ok = os.execute(("luajit -bl %s /dev/null 2>&1"):format(path))
      assert.is_true(ok == true or ok == 0, path)
    end
    files:close()
    assert.is_true(n > 100)
  end)
end)
