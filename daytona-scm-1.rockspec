rockspec_format = "3.0"
package = "daytona"
version = "scm-1"

source = {
  url = "git+https://github.com/daytona/daytona-lua.git",
}

description = {
  summary = "Create and drive Daytona cloud sandboxes",
  detailed = [[
    Isolated Linux computers in which AI-generated code runs safely: commands, code, files,
    git and more, blocking or in a coroutine, many at once in one thread. A C core on libcurl
    and a thin layer of Lua.]],
  license = "MIT",
  labels = { "daytona", "sandbox", "http", "async" },
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1.0",
}

-- The libraries, not the headers: on multiarch systems these are where LuaRocks
-- does not look and the compiler does.
external_dependencies = {
  CURL = { library = "curl" },
  WSLAY = { library = "wslay" },
  CRYPTO = { library = "crypto" },
}

-- `modules` is written by scripts/rockspec; a spec checks that it is the tree.
build = {
  type = "builtin",
  modules = {
    ["daytona.core"] = {
      sources = {
        "src/core/base64.c",
        "src/core/chunk_queue.c",
        "src/core/deadlines.c",
        "src/core/demux.c",
        "src/core/engine.c",
        "src/core/failure.c",
        "src/core/global.c",
        "src/core/handle.c",
        "src/core/multipart_reader.c",
        "src/core/origin.c",
        "src/core/pollset_epoll.c",
        "src/core/pollset_kqueue.c",
        "src/core/profile.c",
        "src/core/request.c",
        "src/core/sigpipe.c",
        "src/core/sink.c",
        "src/core/source.c",
        "src/core/text.c",
        "src/core/transfer.c",
        "src/core/websocket.c",
        "src/core/ws_align.c",
        "src/core/ws_handshake.c",
        "src/core/ws_session.c",
        "src/lua_core.c",
        "src/lua_digest.c",
        "src/lua_engine.c",
        "src/lua_stream.c",
        "src/lua_transfer.c",
        "src/lua_websocket.c",
      },
      libraries = { "curl", "wslay", "crypto" },
      incdirs = { "src", "$(CURL_INCDIR)", "$(WSLAY_INCDIR)", "$(CRYPTO_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)", "$(WSLAY_LIBDIR)", "$(CRYPTO_LIBDIR)" },
    },
    ["daytona.base64"] = "lua/daytona/base64.lua",
    ["daytona.chart"] = "lua/daytona/chart.lua",
    ["daytona.client"] = "lua/daytona/client.lua",
    ["daytona.closing"] = "lua/daytona/closing.lua",
    ["daytona.compat"] = "lua/daytona/compat.lua",
    ["daytona.config"] = "lua/daytona/config.lua",
    ["daytona.devserver.clock"] = "lua/daytona/devserver/clock.lua",
    ["daytona.devserver.control.admin"] = "lua/daytona/devserver/control/admin.lua",
    ["daytona.devserver.control.build"] = "lua/daytona/devserver/control/build.lua",
    ["daytona.devserver.control.checks"] = "lua/daytona/devserver/control/checks.lua",
    ["daytona.devserver.control.children"] = "lua/daytona/devserver/control/children.lua",
    ["daytona.devserver.control.daemon"] = "lua/daytona/devserver/control/daemon.lua",
    ["daytona.devserver.control.files"] = "lua/daytona/devserver/control/files.lua",
    ["daytona.devserver.control.lifecycle"] = "lua/daytona/devserver/control/lifecycle.lua",
    ["daytona.devserver.control.list"] = "lua/daytona/devserver/control/list.lua",
    ["daytona.devserver.control.main"] = "lua/daytona/devserver/control/main.lua",
    ["daytona.devserver.control.routes"] = "lua/daytona/devserver/control/routes.lua",
    ["daytona.devserver.control.sandboxes"] = "lua/daytona/devserver/control/sandboxes.lua",
    ["daytona.devserver.control.tls"] = "lua/daytona/devserver/control/tls.lua",
    ["daytona.devserver.faults"] = "lua/daytona/devserver/faults.lua",
    ["daytona.devserver.httpd"] = "lua/daytona/devserver/httpd.lua",
    ["daytona.devserver"] = "lua/daytona/devserver/init.lua",
    ["daytona.devserver.json"] = "lua/daytona/devserver/json.lua",
    ["daytona.devserver.toolbox.access"] = "lua/daytona/devserver/toolbox/access.lua",
    ["daytona.devserver.toolbox.activity"] = "lua/daytona/devserver/toolbox/activity.lua",
    ["daytona.devserver.toolbox.body"] = "lua/daytona/devserver/toolbox/body.lua",
    ["daytona.devserver.toolbox.channel"] = "lua/daytona/devserver/toolbox/channel.lua",
    ["daytona.devserver.toolbox.charts"] = "lua/daytona/devserver/toolbox/charts.lua",
    ["daytona.devserver.toolbox.code_run"] = "lua/daytona/devserver/toolbox/code_run.lua",
    ["daytona.devserver.toolbox.command"] = "lua/daytona/devserver/toolbox/command.lua",
    ["daytona.devserver.toolbox.environment"] = "lua/daytona/devserver/toolbox/environment.lua",
    ["daytona.devserver.toolbox.failures"] = "lua/daytona/devserver/toolbox/failures.lua",
    ["daytona.devserver.toolbox.fields"] = "lua/daytona/devserver/toolbox/fields.lua",
    ["daytona.devserver.toolbox.files"] = "lua/daytona/devserver/toolbox/files.lua",
    ["daytona.devserver.toolbox.git"] = "lua/daytona/devserver/toolbox/git.lua",
    ["daytona.devserver.toolbox.git_calls"] = "lua/daytona/devserver/toolbox/git_calls.lua",
    ["daytona.devserver.toolbox.interpreter"] = "lua/daytona/devserver/toolbox/interpreter.lua",
    ["daytona.devserver.toolbox.interpreter_calls"] = "lua/daytona/devserver/toolbox/interpreter_calls.lua",
    ["daytona.devserver.toolbox.interpreter_worker"] = "lua/daytona/devserver/toolbox/interpreter_worker.lua",
    ["daytona.devserver.toolbox.main"] = "lua/daytona/devserver/toolbox/main.lua",
    ["daytona.devserver.toolbox.multipart"] = "lua/daytona/devserver/toolbox/multipart.lua",
    ["daytona.devserver.toolbox.paths"] = "lua/daytona/devserver/toolbox/paths.lua",
    ["daytona.devserver.toolbox.process"] = "lua/daytona/devserver/toolbox/process.lua",
    ["daytona.devserver.toolbox.pty"] = "lua/daytona/devserver/toolbox/pty.lua",
    ["daytona.devserver.toolbox.pty_calls"] = "lua/daytona/devserver/toolbox/pty_calls.lua",
    ["daytona.devserver.toolbox.routes"] = "lua/daytona/devserver/toolbox/routes.lua",
    ["daytona.devserver.toolbox.search"] = "lua/daytona/devserver/toolbox/search.lua",
    ["daytona.devserver.toolbox.session"] = "lua/daytona/devserver/toolbox/session.lua",
    ["daytona.devserver.toolbox.session_calls"] = "lua/daytona/devserver/toolbox/session_calls.lua",
    ["daytona.devserver.toolbox.session_log"] = "lua/daytona/devserver/toolbox/session_log.lua",
    ["daytona.devserver.toolbox.spawn"] = "lua/daytona/devserver/toolbox/spawn.lua",
    ["daytona.devserver.toolbox.sys"] = "lua/daytona/devserver/toolbox/sys.lua",
    ["daytona.devserver.toolbox.text"] = "lua/daytona/devserver/toolbox/text.lua",
    ["daytona.devserver.toolbox.transfer"] = "lua/daytona/devserver/toolbox/transfer.lua",
    ["daytona.devserver.toolbox.version"] = "lua/daytona/devserver/toolbox/version.lua",
    ["daytona.driver.block"] = "lua/daytona/driver/block.lua",
    ["daytona.driver.cqueues"] = "lua/daytona/driver/cqueues.lua",
    ["daytona.driver.manual"] = "lua/daytona/driver/manual.lua",
    ["daytona.driver.uv"] = "lua/daytona/driver/uv.lua",
    ["daytona.errors"] = "lua/daytona/errors.lua",
    ["daytona.fs"] = "lua/daytona/fs.lua",
    ["daytona.git"] = "lua/daytona/git.lua",
    ["daytona.http"] = "lua/daytona/http.lua",
    ["daytona"] = "lua/daytona/init.lua",
    ["daytona.json"] = "lua/daytona/json.lua",
    ["daytona.localfile"] = "lua/daytona/localfile.lua",
    ["daytona.loop"] = "lua/daytona/loop.lua",
    ["daytona.native"] = "lua/daytona/native.lua",
    ["daytona.options"] = "lua/daytona/options.lua",
    ["daytona.process"] = "lua/daytona/process.lua",
    ["daytona.redact"] = "lua/daytona/redact.lua",
    ["daytona.sandbox"] = "lua/daytona/sandbox.lua",
    ["daytona.shell"] = "lua/daytona/shell.lua",
    ["daytona.task"] = "lua/daytona/task.lua",
    ["daytona.timers"] = "lua/daytona/timers.lua",
    ["daytona.url"] = "lua/daytona/url.lua",
    ["daytona.version"] = "lua/daytona/version.lua",
    ["daytona.wire"] = "lua/daytona/wire.lua",
  },
  install = { bin = { "bin/daytona-devserver" } },
}

test = {
  type = "command",
  command = "make test",
}
