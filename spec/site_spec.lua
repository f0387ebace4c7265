-- `make site`: the documents as pages, and the search in them.

local browse = require "spec.support.browse"
local json = require "daytona.http.json"

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

  local function read(path)
    local file = assert(io.open(folder .. "/site/" .. path))
    local text = file:read "*a"
    file:close()
    return text
  end

  it("has an index of every heading, which leads there", function()
    local index = assert(json.decode((read("index.js"):match "^self%.INDEX=(.*);\n$")))
    local texts, found = {}, {}
    for i, page in ipairs(index.pages) do texts[i] = read(page[1]) end
    for _, entry in ipairs(index.entries) do
      local text = texts[entry[1] + 1]
      assert.truthy(text and (entry[2] == "" or text:find('id="' .. entry[2] .. '"', 1, true)), entry[3])
      found[entry[3]] = entry[4] .. " " .. entry[5]
    end
    assert.truthy(found["Client:reap"], "a call of the reference")
    assert.matches("%f[%w]stderr%f[%W]", found["Live output"])
    local n = 0
    for _, text in ipairs(texts) do n = n + select(2, text:gsub("<h%d ", "")) end
    assert.equal(n, #index.entries)
  end)

  it("is searched from the keyboard, as files, and runs no script but its own", function()
    if not browse.program then return pending "Chromium is not here" end
    local steps = { { js = "!!document.querySelector('nav input')" }, { key = "/" } }
    for letter in ("proxies cert"):gmatch "." do steps[#steps + 1] = { key = letter } end
    local function step(one) steps[#steps + 1] = one end
    step { js = "document.querySelector('#found b')?.textContent" }
    step { key = "Escape" }
    step { js = "document.querySelector('#found').hidden" }
    step { key = "/" }
    for letter in ("zzz"):gmatch "." do step { key = letter } end
    step { js = "document.querySelector('#found').innerText" }
    step { key = "Escape" }
    step { key = "/" }
    for letter in ("sb:popen "):gmatch "." do step { key = letter } end
    step { js = "document.querySelectorAll('#found li').length > 1" }
    step { key = "ArrowDown" }
    step { key = "Enter" }
    step { js = "location.href.includes('doc/') && document.querySelector('nav input') && location.href" }
    step { js = "const s = document.createElement('script'); s.textContent = 'self.HURT = 1'; "
      .. "document.body.append(s); self.HURT ?? 'refused'" }
    local values = browse.through("file://" .. folder .. "/site/index.html", folder, steps)
    assert.same({ true, "Proxies and certificates", true, "Nothing here has all of these words.", true },
      { values[1], values[2], values[3], values[4], values[5] })
    assert.matches("^file://.*/site/doc/%w+%.html", values[6])
    assert.equal("refused", values[7])
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
