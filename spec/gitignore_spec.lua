-- The rules of .gitignore files; what is expected stands in gitignore(5), and git
-- itself is asked where it is installed.

local gitignore = require "daytona.base.gitignore"

-- "dir/" at the end of a path says that it is a directory.
local function ignored(rules, path)
  local tree = gitignore.new()
  for folder, text in pairs(rules) do tree:add(folder, text) end
  return tree:hides((path:gsub("/$", "")), path:sub(-1) == "/")
end

-- rules, what they ignore, what they do not
local CASES = {
  { "*.o", { "a.o", "d/e/a.o", ".o" }, { "a.oo", "o" } },
  { "name", { "name", "d/name", "name/x" }, { "names" } },
  { "/name", { "name", "name/x" }, { "d/name" } },
  { "d/name", { "d/name" }, { "x/d/name" } },
  { "build/", { "build/", "d/build/", "build/x" }, { "build" } },
  { "*.log\n!keep.log", { "a.log" }, { "keep.log", "d/keep.log" } },
  { "dir/\n!dir/keep", { "dir/keep" }, {} },
  { "dir/*\n!dir/keep", { "dir/x" }, { "dir/keep" } },
  { "**/foo", { "foo", "a/foo", "a/b/foo" }, { "afoo" } },
  { "**/foo/bar", { "foo/bar", "a/foo/bar" }, { "foo/x/bar" } },
  { "abc/**", { "abc/x", "abc/d/x" }, { "abc", "x/abc/y" } },
  { "a/**/b", { "a/b", "a/x/b", "a/x/y/b" }, { "a/xb", "b" } },
  { "a**b", { "ab", "axxb" }, { "a/b" } },
  { "foo/*", { "foo/x", "foo/x/y" }, { "foo" } },
  { "a/*/c", { "a/b/c" }, { "a/c", "a/b/d/c" } },
  { "?.c", { "a.c" }, { "ab.c", ".c" } },
  { "a?b", {}, { "a/b" } },
  { "[abc].x", { "a.x", "c.x" }, { "d.x" } },
  { "[!abc].x", { "d.x" }, { "a.x" } },
  { "[^a-c].x", { "d.x" }, { "b.x" } },
  { "[a-c0-9]", { "b", "7" }, { "d", "-" } },
  { "[]-]x", { "]x", "-x" }, { "ax" } },
  { "[[:digit:]_]z", { "1z", "_z" }, { "az" } },
  { "[\\]]x", { "]x" }, { "\\x", "x" } }, { "[a\\-z]x", { "ax", "-x", "zx" }, { "bx", "\\x" } },
  { "[\\a-\\c]x", { "ax", "bx", "cx" }, { "\\x", "dx" } }, { "[[:foo:]a]x", {}, { "ax", "fx", "x" } },
  { "[!a]x", { "bx", "!x", "[x" }, { "ax" } }, { "[a-]x", { "ax", "-x" }, { "bx" } },
  { "a\\\\\\ ", { "a\\ " }, { "a\\", "a " } }, { "*/x", { "a/x" }, { "a/b/x", "x" } },
  { "a/**", { "a/b", "a/b/c" }, { "a", "b" } }, { "a/**/", { "a/b/" }, { "a/b", "a/" } },
  { "a[/]b", {}, { "a/b" } },
  { "[ab", {}, { "a", "[ab" } },
  { "slash\\\\ ", { "slash\\" }, { "slash\\ ", "slash" } },
  { "space\\ ", { "space " }, { "space" } },
  { "\\#x\n\\!y\n#z", { "#x", "!y" }, { "z", "#z" } },
  { "\\*", { "*" }, { "x" } },
  { "trail \nkept\\ ", { "trail", "kept " }, { "trail ", "kept" } },
  { "a\r\nb\r\n", { "a", "b" }, {} },
  { "\239\187\191bom", { "bom" }, {} },
  { "\n\n  \n/", {}, { "x", "  x" } },
  { "Grüße*", { "Grüße!" }, { "grüße" } },
  { "x y", { "x y" }, { "x" } },
  { "*", { "a", "a/b" }, {} },
  { "*\n!*/\n!*.c", { "a.h", "d/a.h" }, { "a.c", "d/a.c", "d/" } },
  { "*a*a*a*a*a*a*a*a*b", {}, { ("a"):rep(40) } },
}

describe("a .gitignore file", function()
  it("is understood as git does", function()
    for _, case in ipairs(CASES) do
      for _, path in ipairs(case[2]) do assert.is_true(ignored({ [""] = case[1] }, path), case[1] .. " : " .. path) end
      for _, path in ipairs(case[3]) do assert.is_false(ignored({ [""] = case[1] }, path), case[1] .. " : " .. path) end
    end
  end)

  it("in a folder goes before those above", function()
    local rules = { [""] = "*.txt\n/top", d = "!a.txt\n/b\nsub/c", ["d/e"] = "*.txt" }
    for _, path in ipairs { "a.txt", "top", "d/x.txt", "d/b", "d/sub/c", "d/e/a.txt" } do
      assert.is_true(ignored(rules, path), path)
    end
    for _, path in ipairs { "d/a.txt", "b", "d/top", "d/f/b", "sub/c" } do
      assert.is_false(ignored(rules, path), path)
    end
  end)

  it("goes behind patterns of the caller", function()
    local tree = gitignore.new()
    tree:add("", "!*.o\n*.c")
    tree:add_pattern "*.o"
    tree:add_pattern "!x.c"
    assert.is_true(tree:hides("d/a.o", false))
    assert.is_false(tree:hides("x.c", false))
    tree = gitignore.new()
    tree:add_pattern "*.o"
    assert.is_true(tree:hides("d/a.o", false))
  end)

  it("is what git says", function()
    local pipe = io.popen("git --version 2>&1")
    local version = pipe:read "*a"
    pipe:close()
    if not version:find "^git version" then return pending "git is not installed" end
    local folder = os.tmpname()
    os.remove(folder)
    for _, case in ipairs(CASES) do
      assert(os.execute(("rm -rf %s && git init -q %s"):format(folder, folder)))
      local file = assert(io.open(folder .. "/.gitignore", "wb"))
      file:write(case[1])
      file:close()
      local wanted = {}
      for i = 2, 3 do
        for _, path in ipairs(case[i]) do
          if path:sub(-1) == "/" or path:find "^[#%w._/]+$" then wanted[#wanted + 1] = path end
        end
      end
      for _, path in ipairs(wanted) do
        if path:sub(-1) == "/" then os.execute(("mkdir -p '%s/%s'"):format(folder, path)) end
        local ask = io.popen(("git -C %s check-ignore -q '%s'; echo $?"):format(folder, (path:gsub("/$", ""))))
        local said = ask:read "*l" == "0"
        ask:close()
        assert.equal(said, ignored({ [""] = case[1] }, path), case[1] .. " : " .. path)
        os.execute(("find %s -mindepth 1 -maxdepth 1 ! -name '.git*' -exec rm -rf {} +"):format(folder))
      end
    end
    os.execute("rm -rf " .. folder)
  end)
end)
