-- `make site`: the documents as pages.

local function has(program)
  local ok = os.execute("command -v " .. program .. " >/dev/null")
  return ok == true or ok == 0
end

describe("the site", function()
  if not has "lowdown" or not has "git" then
    pending "lowdown makes its pages, and is not here"
    return
  end

  local folder

  setup(function() folder = io.popen("mktemp -d"):read "*l" end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local function output_of(command)
    local pipe = io.popen(command .. " 2>&1")
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("is written whole, and its links lead somewhere", function()
    assert.equal(folder .. "/site/index.html\n", output_of("scripts/site " .. folder .. "/site"))
    local guide = io.open(folder .. "/site/doc/guide.html"):read "*a"
    assert.truthy(guide:find('<h2 id="cleaning-up">', 1, true))
    assert.truthy(guide:find('href="errors.html', 1, true) or guide:find('href="../doc/errors.html', 1, true))
    assert.is_nil(guide:find('href="[^"]*%.md[#"]'))
  end)

  it("says which links lead nowhere", function()
    os.execute("mkdir " .. folder .. "/bad")
    local file = io.open(folder .. "/bad/index.html", "w")
    file:write '<h1 id="here">x</h1><a href="#here">a</a><a href="#there">b</a><a href="nope.html">c</a>'
    file:close()
    local text = output_of("{ lua5.4 scripts/site.lua --check " .. folder .. "/bad; echo $?; }")
    assert.equal("index.html: #there leads nowhere\nindex.html: nope.html leads nowhere\n1\n", text)
  end)
end)
