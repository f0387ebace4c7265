-- The texts of images: what the official Python client (0.226.1) writes for the same calls,
-- row by row, where that is right; and what is written, or refused, where it is not.

local image = require "daytona.image"
local real_path = require("daytona.base.native").real_path

local B = "FROM b:1\n"
local DEB = "RUN apt-get update\nRUN apt-get install -y gcc gfortran build-essential\nRUN pip install --upgrade pip\n"
  .. "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections\n"

describe("the text of an image", function()
  -- A folder below the current one: what is relative to it is relative to that, but for its name in front.
  local folder
  local function sh(command)
    local pipe = assert(io.popen("cd " .. folder .. " && { " .. command .. "\n} 2>&1"))
    local out = pipe:read "*a"
    pipe:close()
    assert.equal("", out)
  end

  setup(function()
    folder = "build/" .. os.tmpname():match "[^/]+$"
    assert(os.execute("mkdir " .. folder))
    sh [[
      mkdir -p app/lib app/empty 'my app' d/c d2 d3 d4
      echo main >app/main.py; echo util >app/lib/util.py; echo K=1 >app/.env; echo ab >'my app/a b.txt'
      echo 'numpy>=1.0' >requirements.txt; echo x >'req two.txt'; printf '[tool.x]\na = 1\n' >noproj.toml
      printf '%s\n' '[project]' 'name = "p" # a comment' 'dependencies = [' \
        '  "requests>=2",' "  'click==8.1.7', # two" ']' \
        '[project.optional-dependencies]' 'dev = ["pytest", "black"]' 'docs = ["sphinx"]' >pyproject.toml
      for f in a.txt b1.txt b2.txt 'sp ace.txt' c/d.txt; do echo "$f" >"d/$f"; done
      ln -s /etc d/out; ln -s /etc d3/out
      printf '%s\n' 'FROM alpine:3.20' 'COPY a.txt /a.txt' 'COPY --chown=1:1 --link b*.txt /b/' \
        'COPY --from=build /x /y' 'COPY ["sp ace.txt", "/s p/"]' 'COPY a.txt \' '  c/d.txt \' '  /dst/' \
        '# COPY nope /n' >d/Dockerfile
      printf 'RUN echo 1' >>d/Dockerfile
      printf 'FROM alpine:3.20\nCOPY ../app/main.py /m\n' >d2/Dockerfile
      printf 'FROM alpine:3.20\nCOPY out/hostname /h\n' >d3/Dockerfile
      printf 'FROM alpine:3.20\nCOPY <<EOF /x\nhi\nEOF\n' >d4/Dockerfile
      printf 'ADD a.txt /a\ncopy missing.txt /m\nCOPY onlyone\n' >>d4/Dockerfile
    ]]
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local function at(path) return folder .. "/" .. path end
  local function stripped(text) return (text:gsub(folder:gsub("%p", "%%%0") .. "/", "")) end

  local function check(wanted, value, contexts)
    local text = assert(value:dockerfile())
    assert.equal(wanted, stripped(text))
    local list = {}
    for i, one in ipairs(value:local_files()) do list[i] = stripped(one.source) .. " -> " .. stripped(one.path) end
    assert.same(contexts or {}, list)
  end

  local function problem(value)
    local text, err = value:dockerfile()
    assert.is_nil(text)
    return err
  end

  local function base() return image.base "b:1" end

  it("begins with an image, or with Debian and a Python", function()
    check("FROM ubuntu:22.04\n", image.base "ubuntu:22.04")
    local versions = {
      ["3.9"] = "3.9.22", ["3.10"] = "3.10.17", ["3.11"] = "3.11.12", ["3.12"] = "3.12.10", ["3.13"] = "3.13.3",
      ["3.12.1"] = "3.12.1", ["3.13.0rc2"] = "3.13.0rc2",
    }
    for asked, got in pairs(versions) do
      check("FROM python:" .. got .. "-slim-bookworm\n" .. DEB, image.debian_slim(asked))
    end
    check("FROM python:3.13.3-slim-bookworm\n" .. DEB, image.debian_slim()) -- not what happens to run here
    for _, wrong in ipairs { "3.14", "3.8", "2.7", "3", "3.12.", "3.12.1\nUSER x", "3.8.1" } do
      assert.has_error(function() image.debian_slim(wrong) end)
    end
    assert.error_matches(function() image.debian_slim "3.14" end, "no Python '3.14'; there are 3.9")
    for _, wrong in ipairs { "", "a b", "a\nUSER root" } do
      assert.error_matches(function() image.base(wrong) end, "without white space")
    end
  end)

  it("installs packages, sorted and quoted", function()
    local python = "RUN python -m pip install "
    local rows = {
      { base():pip_install "numpy", "numpy" },
      { base():pip_install("requests", "numpy"), "numpy requests" },
      { base():pip_install({ "b", "a" }, "c"), "a b c" }, { base():pip_install { "a" }, "a" },
      { base():pip_install("numpy>=1.0", "pandas[all]==2.0", "x; python_version<'3.9'"),
        [['numpy>=1.0' 'pandas[all]==2.0' 'x; python_version<'"'"'3.9'"'"'']] },
      { base():pip_install "", "''" },
      { base():pip_install("a", { find_links = { "https://x/1", "dir two" }, index_url = "https://i/simple",
        extra_index_urls = { "https://e/1", "https://e/2" }, pre = true, extra_options = "  --no-cache-dir -q " }),
        "a --find-links https://x/1 --find-links 'dir two' --index-url https://i/simple "
          .. "--extra-index-url https://e/1 --extra-index-url https://e/2 --pre --no-cache-dir -q" },
      { base():pip_install "git+https://github.com/a/b@main#egg=b", "'git+https://github.com/a/b@main#egg=b'" },
    }
    for _, row in ipairs(rows) do check(B .. python .. row[2] .. "\n", row[1]) end
    check(B, base():pip_install())
    check(B, base():pip_install {})
    assert.error_matches(function() base():pip_install "a\nUSER root" end, "on one line")
    assert.error_matches(function() base():pip_install("a", { index = "x" }) end, "unknown option 'index'")
    check(B .. "RUN apt-get update && apt-get install -y git 'a b' && rm -rf /var/lib/apt/lists/*\n",
      base():apt_install("git", "a b"))
  end)

  it("installs what files list", function()
    check(B .. 'COPY ["requirements.txt", "/.requirements.txt"]\nRUN python -m pip install -r /.requirements.txt\n',
      base():pip_install_from_requirements(at "requirements.txt"), { "requirements.txt -> requirements.txt" })
    check(B .. 'COPY ["req two.txt", "/.requirements.txt"]\nRUN python -m pip install -r /.requirements.txt --pre\n',
      base():pip_install_from_requirements(at "req two.txt", { pre = true }), { "req two.txt -> req two.txt" })
    check(B .. "RUN python -m pip install click==8.1.7 'requests>=2'\n",
      base():pip_install_from_pyproject(at "pyproject.toml", {}))
    check(B .. "RUN python -m pip install black click==8.1.7 pytest 'requests>=2'\n",
      base():pip_install_from_pyproject(at "pyproject.toml", { "dev", "nosuch" }))
    check(B .. "RUN python -m pip install click==8.1.7 'requests>=2' --find-links https://f --index-url https://i "
      .. "--extra-index-url https://e --pre -q\n", base():pip_install_from_pyproject(at "pyproject.toml", {}, {
      find_links = "https://f", index_url = "https://i", extra_index_urls = "https://e", pre = true,
        extra_options = "-q",
    }))
    local missing = problem(base():pip_install_from_requirements(at "missing.txt"))
    assert.equal("not_found", missing.kind)
    assert.equal("Requirements file missing.txt does not exist", stripped(missing.message))
    local directory = problem(base():pip_install_from_requirements(at "app"))
    assert.equal("Requirements path app exists but is not a file", stripped(directory.message))
    assert.matches("No %[project%] section in pyproject.toml",
      problem(base():pip_install_from_pyproject(at "noproj.toml", {})).message)
  end)

  it("copies files and folders in the JSON form", function()
    local rows = {
      { "app/main.py", "/srv/main.py", "app/main.py", "/srv/main.py" },
      { "app/main.py", "/srv/", "app/main.py", "/srv/main.py" },
      { "./app/../app/main.py", "/m", "app/main.py", "/m" },
      { "my app/a b.txt", "/x y/a b.txt", "my app/a b.txt", "/x y/a b.txt" },
      { "app/main.py", '/\195\188"q', "app/main.py", '/\\u00fc\\"q' },
    }
    for _, row in ipairs(rows) do
      check(B .. ('COPY ["%s", "%s"]\n'):format(row[3], row[4]), base():add_local_file(at(row[1]), row[2]),
        { row[1] .. " -> " .. row[3] })
    end
    check(B .. 'COPY ["app", "/srv/app"]\n', base():add_local_dir(at "app", "/srv/app"), { "app -> app" })
    check(B .. 'COPY ["app", "/srv/app/"]\n', base():add_local_dir(at "app/", "/srv/app/"), { "app/ -> app" })
    local rest = {
      { base():add_local_file(at "nope", "/n"), "not_found", "Local file nope does not exist" },
      { base():add_local_file(at "app", "/n"), "invalid", "Local path app exists but is not a file" },
      { base():add_local_dir(at "nope", "/n"), "not_found", "Local directory nope does not exist" },
      { base():add_local_dir(at "app/main.py", "/n"), "invalid",
        "Local path app/main.py exists but is not a directory" },
    }
    for _, row in ipairs(rest) do
      local err = problem(row[1]:env { A = "the chain goes on" })
      assert.equal(row[2], err.kind)
      assert.equal(row[3], stripped(err.message))
    end
    assert.error_matches(function() base():add_local_file(at "app/main.py", "/a\nUSER root") end, "on one line")
  end)

  it("has no path of this machine in it where a file lies elsewhere", function()
    check(B .. 'COPY ["hostname", "/h"]\n', base():add_local_file("/etc/hostname", "/h"),
      { "/etc/hostname -> hostname" })
    local above = "../" .. real_path ".":match "[^/]+$" .. "/README.md"
    check(B .. 'COPY ["README.md", "/g"]\n', base():add_local_file(above, "/g"), { above .. " -> README.md" })
    -- two of one name do not overwrite each other, and none is the Dockerfile
    local both = base():add_local_file("/etc/hostname", "/a"):add_local_file("/proc/sys/kernel/hostname", "/b")
    check(B .. 'COPY ["hostname", "/a"]\nCOPY ["1/hostname", "/b"]\n', both,
      { "/etc/hostname -> hostname", "/proc/sys/kernel/hostname -> 1/hostname" })
    local file = real_path(at "d/Dockerfile")
    check(B .. 'COPY ["1/Dockerfile", "/d"]\n', base():add_local_file(file, "/d"),
      { stripped(file) .. " -> 1/Dockerfile" })
    -- and one that is copied twice is handed over once
    check(B .. 'COPY ["app", "/a"]\nCOPY ["app", "/b"]\n', base():add_local_dir(at "app",
      "/a"):add_local_dir(at "app", "/b"),
      { "app -> app" })
  end)

  it("runs commands", function()
    check(B .. "RUN apt-get update\nRUN echo hi\n", base():run_commands("apt-get update", "echo hi"))
    check(B .. [[RUN "bash" "-c" "echo \\\"a\\\" \'b\'"]] .. "\n", base():run_commands { "bash", "-c",
      "echo \"a\" 'b'" })
    check(B .. 'RUN "echo" "a b"\nRUN ls\n', base():run_commands({ "echo", "a b" }, "ls"))
    check(B, base():run_commands())
    check(B .. "RUN a && \\\n  b\n", base():run_commands "a && \\\n  b")
    check(B .. "RUN <<EOF\na\nb\nEOF\n", base():run_commands "<<EOF\na\nb\nEOF")
    assert.error_matches(function() base():run_commands "a\nUSER root" end, "command 1 has several lines")
    assert.error_matches(function() base():run_commands("a", { "b\nc" }) end, "on one line")
    check(B .. [=[RUN ["bash", "-c", "echo \"a\" 'b'\n"]
]=], base():run { "bash", "-c", "echo \"a\" 'b'\n" })
  end)

  it("sets variables, in order of name", function()
    check(B .. "ENV A=1\nENV B='two words'\nENV C=''\n", base():env { A = "1", B = "two words", C = "" })
    check(B .. [[ENV D='$HOME'
ENV E='a=b;c'
ENV Q='it'"'"'s "x"'
]], base():env { Q = "it's \"x\"", D = "$HOME", E = "a=b;c" })
    check(B, base():env {})
    assert.error_matches(function() base():env { N = "a\nb" } end, "'N' must be on one line")
    assert.error_matches(function() base():env { N = 1 } end, "'N' is a number")
    assert.error_matches(function() base():env { ["A\nUSER x"] = "1" } end, "cannot be the name of a variable")
  end)

  it("says where, as whom and what is started", function()
    check(B .. "WORKDIR /app\n", base():workdir "/app")
    check(B .. "WORKDIR '/a b'\n", base():workdir "/a b")
    check(B .. 'ENTRYPOINT ["/bin/bash", "-l"]\n', base():entrypoint { "/bin/bash", "-l" })
    check(B .. "ENTRYPOINT []\n", base():entrypoint {})
    check(B .. [=[ENTRYPOINT ["a\"b", "c\\d"]]=] .. "\n", base():entrypoint { 'a"b', "c\\d" })
    check(B .. 'CMD ["python", "-m", "http.server"]\n', base():cmd { "python", "-m", "http.server" })
    check(B .. "CMD []\n", base():cmd {})
    check(B .. [=[CMD ["a\"b", "\ud83d\ude00\u20ac]=] .. "\255\"]\n", base():cmd { 'a"b',
      "\240\159\152\128\226\130\172\255" })
    check(B .. "USER daytona\nEXPOSE 80 443\nLABEL a='b c'\n", base():user "daytona":expose(80,
      443):label { a = "b c" })
    check(B .. 'COPY --from=node:22 --chown=1:1 ["/usr/local", "/usr/local"]\n',
      base():copy("/usr/local", "/usr/local", { from = "node:22", chown = "1:1" }))
    assert.error_matches(function() base():entrypoint "bash" end, "a list of strings")
    assert.error_matches(function() base():workdir "/a\nUSER root" end, "on one line")
    assert.error_matches(function() base():user "a\nRUN b" end, "on one line")
    assert.error_matches(function() base():expose(0) end, "65535")
    assert.error_matches(function() base():copy("a", "/a") end, "add_local_file")
    assert.error_matches(function() image.base("b:1").env { A = "1" } end, "with a colon")
  end)

  it("takes lines of a Dockerfile", function()
    local d = at "d"
    check(B .. "RUN echo 1\nEXPOSE 80\n", base():dockerfile_commands { "RUN echo 1", "EXPOSE 80" })
    check(B .. "COPY a.txt /a\n", base():dockerfile_commands({ "COPY a.txt /a" }, { context_dir = d }),
      { "d/a.txt -> a.txt" })
    check(B .. "COPY a.txt /a\n", base():dockerfile_commands({ "COPY a.txt /a" }, { context_dir = d,
      strict_context = true }),
      { "d/a.txt -> a.txt" })
    check(B .. "COPY ../app/main.py /a\n",
      base():dockerfile_commands({ "COPY ../app/main.py /a" }, { context_dir = d, strict_context = false }),
      { "d/../app/main.py -> app/main.py" }) -- where a builder looks for it
    for line, found in pairs {
      ["*/d.txt"] = { "d/c/d.txt -> c/d.txt" }, ["c/*"] = { "d/c/d.txt -> c/d.txt" },
      ["?.txt"] = { "d/a.txt -> a.txt" },
      ["./b[12].txt"] = { "d/./b1.txt -> b1.txt", "d/./b2.txt -> b2.txt" }, ["c/none*"] = { "d/c/none* -> c/none*" },
      ["a.txt b*.txt a*"] = { "d/a.txt -> a.txt", "d/b1.txt -> b1.txt", "d/b2.txt -> b2.txt" },
    } do
      local copy = "COPY " .. line .. " /a"
      check(B .. copy .. "\n", base():dockerfile_commands({ copy }, { context_dir = d }), found)
    end
    check(B .. "\n", base():dockerfile_commands {})
    local rows = {
      { "COPY ../app/main.py /a", "../app/main.py" }, { "COPY /etc/hostname /a", "/etc/hostname" },
      { "COPY out/hostname /a", "/etc/hostname" }, { "COPY C:\\x /a", "C:\\x" }, { "COPY ..\\x /a", "..\\x" },
      { "ADD [\"a.txt\", \"../x\", \"/a\"]", "../x" },
    }
    for _, row in ipairs(rows) do
      local err = problem(base():dockerfile_commands({ row[1] }, { context_dir = d }))
      assert.equal("forbidden path outside the build context: " .. row[2], err.message)
    end
    assert.error_matches(function() base():dockerfile_commands({ "RUN 1" }, { strict_context = true }) end,
      "strict_context requires context_dir")
    assert.error_matches(function() base():dockerfile_commands { "COPY a.txt /a" } end, "'context_dir' is needed")
    local missing = problem(base():dockerfile_commands({ "RUN 1" }, { context_dir = at "nope" }))
    assert.equal("Context directory nope does not exist", stripped(missing.message))
  end)

  it("is a Dockerfile's as it stands", function()
    local text = "FROM alpine:3.20\nCOPY a.txt /a.txt\nCOPY --chown=1:1 --link b*.txt /b/\nCOPY --from=build /x /y\n"
      .. 'COPY ["sp ace.txt", "/s p/"]\nCOPY a.txt \\\n  c/d.txt \\\n  /dst/\n# COPY nope /n\nRUN echo 1'
    for _, opts in ipairs { {}, { strict_context = true } } do
      check(text, image.from_dockerfile(at "d/Dockerfile", opts), {
        "d/a.txt -> a.txt", "d/b1.txt -> b1.txt", "d/b2.txt -> b2.txt", "d/sp ace.txt -> sp ace.txt",
          "d/c/d.txt -> c/d.txt",
      })
    end
    check("FROM alpine:3.20\nCOPY ../app/main.py /m\n", image.from_dockerfile(at "d2/Dockerfile",
      { strict_context = false }),
      { "d2/../app/main.py -> app/main.py" })
    check("FROM alpine:3.20\nCOPY out/hostname /h\n", image.from_dockerfile(at "d3/Dockerfile",
      { strict_context = false }),
      { "d3/out/hostname -> out/hostname" })
    check("FROM alpine:3.20\nCOPY <<EOF /x\nhi\nEOF\nADD a.txt /a\ncopy missing.txt /m\nCOPY onlyone\n",
      image.from_dockerfile(at "d4/Dockerfile"), { "d4/a.txt -> a.txt", "d4/missing.txt -> missing.txt" }) -- ADD, too
    local rows = { d2 = "../app/main.py", d3 = "/etc/hostname" }
    for name, path in pairs(rows) do
      assert.equal("forbidden path outside the build context: " .. path,
        problem(image.from_dockerfile(at(name .. "/Dockerfile"))).message)
    end
    assert.equal("Dockerfile nope does not exist", stripped(problem(image.from_dockerfile(at "nope")).message))
  end)

  it("goes on where a Dockerfile ends without a line end", function()
    check("FROM alpine:3.20\nCOPY a.txt /a.txt\nCOPY --chown=1:1 --link b*.txt /b/\nCOPY --from=build /x /y\n"
      .. 'COPY ["sp ace.txt", "/s p/"]\nCOPY a.txt \\\n  c/d.txt \\\n  /dst/\n# COPY nope /n\nRUN echo 1\nENV A=1\n',
      image.from_dockerfile(at "d/Dockerfile"):env { A = "1" }, {
        "d/a.txt -> a.txt", "d/b1.txt -> b1.txt", "d/b2.txt -> b2.txt", "d/sp ace.txt -> sp ace.txt",
          "d/c/d.txt -> c/d.txt",
      })
  end)

  it("is a value: what is made of it leaves it as it was", function()
    check("FROM python:3.12.10-slim-bookworm\n" .. DEB .. "RUN python -m pip install requests\nENV K=v\n"
      .. 'WORKDIR /w\nRUN ls\nENTRYPOINT ["python"]\nCMD ["-V"]\n',
      image.debian_slim("3.12"):pip_install("requests"):env({ K = "v" }):workdir("/w")
        :run_commands("ls"):entrypoint({ "python" }):cmd { "-V" })
    local b = base()
    local x, y = b:run_commands "one", b:run_commands "two":add_local_dir(at "app", "/a")
    check(B, b)
    check(B .. "RUN one\n", x)
    check(B .. 'RUN two\nCOPY ["app", "/a"]\n', y, { "app -> app" })
    assert.equal("daytona image (FROM b:1, 2 more lines, 1 local)", tostring(y))
  end)
end)

describe("toml", function()
  local toml = require "daytona.image.toml"

  it("is read as far as pyproject.toml needs it", function()
    assert.same({
      a = { b = { c = "x" }, ["d e"] = "1" }, list = { { "1", "2" }, { k = "v" }, "t\n\195\169\"" },
      t = { { n = "1" }, { n = "2", u = { w = "deep" } } }, raw = "C:\\x", long = "one two",
        date = "1979-05-27T07:32:00Z",
    }, toml.parse([=[
list = [ [1, 2,], # comment with ]
  { k = "v" }, "t\n\u00e9\"" ]
raw = 'C:\x'
long = """
one \
   two"""
date = 1979-05-27T07:32:00Z
a.b.c = "x"
[a]
"d e" = 1
[[t]]
n = 1
[[t]]
n = 2
[t.u]
w = "deep"
]=]))
    for _, wrong in ipairs { "a", "a =", "a = [1 2]", "a = \"x", "[a", "a = 'x\ny'", "= 1", "a = 1\na.b = 2",
      "[[a]", "a = \"\\q\"" } do
      local value, why = toml.parse(wrong)
      assert.is_nil(value, wrong)
      assert.matches("^line %d+: ", why)
    end
    assert.same({}, toml.parse "")
    assert.same({ ["a b"] = "x", c = { d = "1" } }, toml.parse "\239\187\191'a b' = 'x' # c\r\n[c]\r\nd = 1\r\n")
  end)

  it("has every character that escapes can name", function()
    for escape, text in pairs {
      ["\\u0041"] = "A", ["\\u007f"] = "\127", ["\\u0080"] = "\194\128", ["\\u07ff"] = "\223\191",
      ["\\u0800"] = "\224\160\128", ["\\u20AC"] = "\226\130\172", ["\\uFFFF"] = "\239\191\191",
      ["\\U00010000"] = "\240\144\128\128", ["\\U0001F600"] = "\240\159\152\128",
      ["\\U0010FFFF"] = "\244\143\191\191", ["\\b\\t\\n\\f\\r\\e\\\\\\\""] = "\b\t\n\f\r\27\\\"",
    } do
      assert.same({ a = text }, toml.parse(('a = "%s"'):format(escape)), escape)
    end
  end)

  it("that is wrong is told by its line", function()
    for text, why in pairs {
      ["a"] = "line 1: '=' was expected", ["\n# x\n\na ="] = "line 4: a value was expected",
      ["a = 1\nb = [1 2]"] = "line 2: ',' was expected", ["x = 1\n= 1"] = "line 2: a key was expected",
      ["a = 1\na.b = 2"] = "line 2: 'a' is no table", ["[a\n"] = "line 1: ']' was expected",
      ["a = \"\\q\""] = "line 1: an unknown escape", ["a = 'x"] = "line 1: a text without an end",
      ["a = 1\nb = 'x\ny'\n"] = "line 2: a text without an end", ["a =\nb = 1\n"] = "line 1: a value was expected",
    } do
      local value, said = toml.parse(text)
      assert.is_nil(value)
      assert.equal(why, said)
    end
  end)

  it("has tables in lists, each with what follows it", function()
    assert.same({ a = { { b = { { c = "1" }, { c = "2" } } }, { b = { { c = "3" } } } } },
      toml.parse "[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[[a]]\n[[a.b]]\nc = 3\n")
    assert.same({ a = { { x = "1", y = { z = "2" } } } }, toml.parse "[[a]]\nx = 1\n[a.y]\nz = 2")
    assert.same({ a = {}, b = { "c", "d" }, e = { f = "1", g = { h = "2" } } },
      toml.parse "a = [ ]\nb = ['c'\n, 'd']\ne = { f = 1, g.h = 2 }")
  end)
end)

describe("what a Dockerfile takes from here", function()
  local dockerfile = require "daytona.image.dockerfile"

  local function takes(text) return table.concat(dockerfile.sources(text), "|") end

  it("is what COPY and ADD name, however they are written", function()
    assert.equal("a b|c|it's|d", takes "COPY 'a b' c \"it's\" d /to\n")
    assert.equal("a|b", takes "  copy   a\tb   /to  \n")
    assert.equal("a|b", takes "ADD --chown=1:1 --link [\"a\", \"b\", \"/to\"]\n")
    assert.equal("", takes "COPY --link --from=build a /to\nADD https://x/y git@github.com:a/b git+ssh://x /to\n")
    assert.equal("", takes "COPY [1\n")
    assert.equal("https", takes "ADD https /to\n")
    assert.equal("'a", takes "COPY 'a /to\n")
    assert.equal("a", takes "COPY a /to") -- without a line end
  end)

  it("may go over several lines, with comments and empty lines between", function()
    assert.equal("a|b|c", takes "COPY a \\\n  # not x \\\n\n  b \\  \n c /to\r\nRUN COPY d /to\r\n")
    assert.same({ "FROM a", "RUN one   two", "USER x" },
      dockerfile.instructions "# first\n\nFROM a\n   \nRUN one \\\n two\n# last\nUSER x\n")
  end)

  it("does not stand in texts that an instruction brings", function()
    assert.equal("z", takes "RUN <<EOF\nCOPY a /to\nEOF\nCOPY z /to\n")
    assert.equal("z", takes "RUN <<-EOF\nCOPY a /to\n\t\tEOF\nCOPY z /to\n")
    assert.equal("", takes "RUN <<EOF\nCOPY a /to\n\tEOF\nCOPY z /to\n") -- which has not ended
    assert.equal("z", takes "COPY <<\"A\" <<'B' /to\nCOPY a /to\nA\nCOPY b /to\nB\nCOPY z /to\n")
    assert.equal("z|y", takes "RUN cat <<<word\nCOPY z /to\nENV X=<<EOF\nCOPY y /to\n")
    assert.equal("f|z", takes "COPY f <<A /to\nA\nCOPY z /to\n")
  end)
end)

describe("words in the JSON form", function()
  it("have escapes for what is above ASCII, and other bytes as they are", function()
    local list = require("daytona.image.dockerfile").list
    for text, shown in pairs {
      ["\194\128"] = "\\u0080", ["\223\191"] = "\\u07ff", ["\224\160\128"] = "\\u0800", ["\239\191\191"] = "\\uffff",
      ["\240\144\128\128"] = "\\ud800\\udc00", ["\244\143\191\191"] = "\\udbff\\udfff", ["\240\159\152\128"] =
        "\\ud83d\\ude00", ["\193\129"] = "\193\129", ["\245\128\128\128"] = "\245\128\128\128",
      ["\226\130"] = "\226\130", ["\195"] = "\195", ["\226\130\172\172"] = "\226\130\172\172", ["\1\n\t\""] =
        "\\u0001\\n\\t\\\"",
    } do
      assert.equal('["' .. shown .. '"]', list { text })
    end
    assert.equal('["a", ""]', list { "a", "" })
    assert.equal("[]", list {})
  end)
end)
