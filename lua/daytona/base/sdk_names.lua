-- Names that the service's other clients have, or that somebody guesses, by the class that a
-- program looks for them in, and what says the same here. Loaded when a name is looked for that is not there.

local errors = require "daytona.base.errors"

local M = {}

-- In snake_case; the camelCase of others is brought to that.
local NAMES = {
  ["daytona"] = {
    daytona = "daytona.new{}", async_daytona = "daytona.new{}", create_sandbox = "daytona.create{}",
    find_one = "daytona.get(id_or_name)", get_current_sandbox = "daytona.get(id)", remove = "daytona.delete(id)",
    start = "sb:start()", stop = "sb:stop()", exec = "sb:exec(command)", run = "sb:run(code)",
    popen = "sb:popen(command)",
    code_run = "sb:run(code)", fs = "sb.fs", git = "sb.git", session = "sb:session()", pty = "sb:pty{}",
    snapshot = "daytona.client().snapshots", volume = "daytona.client().volumes",
    snapshots = "daytona.client().snapshots", volumes = "daytona.client().volumes",
    pool = "daytona.client():pool{}", reap = "daytona.client():reap()",
  },
  ["daytona.Sandbox"] = {
    code_run = "sb:run(code)", execute_command = "sb:exec(command)", code_interpreter = "sb.interpreter",
    computer_use = "sb.computer", file_system = "sb.fs", refresh_data = "sb:refresh()",
    get_user_home_dir = "sb:home_dir()", get_user_root_dir = "sb:home_dir()", get_work_dir = "sb:work_dir()",
    get_metrics = "sb:metrics()", get_metrics_latest = "sb:metrics_latest()",
    create_lsp_server = "sb:lsp(language, root)",
    wait_for_sandbox_start = 'sb:wait "started"', wait_until_started = 'sb:wait "started"',
    wait_for_sandbox_stop = 'sb:wait "stopped"', wait_until_stopped = 'sb:wait "stopped"',
    wait_for_resize_complete = "nothing: sb:resize{} waits",
    set_autostop_interval = "sb:set_auto_stop_interval(minutes)",
    update_network_settings = "sb:set_network{}", update_secrets = "sb:set_secrets{}",
    update_env = "sb:set_env{ set = {} }",
    get_preview_link = "sb:preview_url(port)",
    create_signed_preview_url = "sb:preview_url(port, { expires_in = seconds })",
    get_signed_preview_url = "sb:preview_url(port, { expires_in = seconds })",
    expire_signed_preview_url = "sb:expire_preview_url(port, token)", create_ssh_access = "sb:ssh_access{}",
    refresh_activity = "sb:touch()", experimental_fork = "sb:fork{}",
    experimental_create_snapshot = "sb:create_snapshot(name)",
    remove = "sb:delete()",
    execute = "sb:exec(command)", run_code = "sb:run(code)", bash = "sb:exec(command)", commands = "sb:exec(command)",
    shell = "sb:pty{}", terminal = "sb:pty{}", spawn = "sb:popen(command)",
    kill = "sb:delete()", destroy = "sb:delete()", terminate = "sb:delete()",
    files = "sb.fs", filesystem = "sb.fs", upload = "sb.fs:upload(file, path)", download = "sb.fs:download(path, file)",
    upload_file = "sb.fs:upload(file, path)", download_file = "sb.fs:download(path, file)",
    read_file = "sb.fs:read(path)", write_file = "sb.fs:write(path, data)", mkdir = "sb.fs:mkdir(path)",
    clone = "sb.git:clone(url, path)",
  },
  ["sandbox.process"] = {
    exec = "sb:exec(command)", execute_command = "sb:exec(command)", code_run = "sb:run(code)",
    create_session = "sb:session(id)", get_session = "sb:session(id, { create = false })",
    list_sessions = "sb:sessions()",
    delete_session = "session:delete()", get_entrypoint_session = "sb:entrypoint()",
    execute_session_command = "session:exec(command)", get_session_command = "session:command(id)",
    get_session_command_logs = "command:logs(), command:follow()", send_session_command_input = "command:input(text)",
    get_session_command_logs_async = "command:follow()", get_entrypoint_logs = "sb:entrypoint():logs()",
    create_pty = "sb:pty{}", create_pty_session = "sb:pty{}", connect_pty = "sb:pty(id)",
    connect_pty_session = "sb:pty(id)",
    list_pty_sessions = "sb:ptys()", get_pty_session_info = "pty:info()", kill_pty_session = "pty:kill()",
    resize_pty_session = "pty:resize(cols, rows)",
  },
  ["daytona.FileSystem"] = {
    create_folder = "sb.fs:mkdir(path)", delete_file = "sb.fs:remove(path)", list_files = "sb.fs:list(path)",
    get_file_info = "sb.fs:stat(path)", get_file_details = "sb.fs:stat(path)", move_files = "sb.fs:move(from, to)",
    set_file_permissions = "sb.fs:chmod(path, change)", find_files = "sb.fs:grep(path, text)",
    search_files = "sb.fs:glob(path, pattern)", replace_in_files = "sb.fs:replace(files, text, new)",
    download_file = "sb.fs:read(path), sb.fs:download(path, file)", download_file_stream = "sb.fs:download(path, fn)",
    download_files = "sb.fs:download_many{}", upload_file = "sb.fs:write(path, data), sb.fs:upload(file, path)",
    upload_file_stream = "sb.fs:upload(fn, path)", upload_files = "sb.fs:upload_many{}",
    make_dir = "sb.fs:mkdir(path)", set_permissions = "sb.fs:chmod(path, change)", delete = "sb.fs:remove(path)",
    rm = "sb.fs:remove(path)", rename = "sb.fs:move(from, to)", mv = "sb.fs:move(from, to)",
    copy = 'sb:exec { "cp", "-r", from, to }', ls = "sb.fs:list(path)", cat = "sb.fs:read(path)",
    read_file = "sb.fs:read(path)", write_file = "sb.fs:write(path, data)", info = "sb.fs:stat(path)",
    find = "sb.fs:glob(path, pattern), sb.fs:grep(path, text)", search = "sb.fs:grep(path, text)",
  },
  ["daytona.Git"] = {
    checkout_branch = "sb.git:checkout(path, branch)", remote_add = "sb.git:add_remote(path, name, url)",
    remote_get = "sb.git:get_remote(path, name)",
    dangerously_authenticate = "sb.git:authenticate(username, password)",
    diff = 'sb:exec { "git", "-C", path, "diff" }', fetch = 'sb:exec { "git", "-C", path, "fetch" }',
    merge = 'sb:exec { "git", "-C", path, "merge", branch }',
  },
  ["daytona.Interpreter"] = {
    run_code = "sb.interpreter:run(code)", list_contexts = "sb.interpreter:contexts()",
  },
  ["daytona.LanguageServer"] = { sandbox_symbols = "server:workspace_symbols(query)" },
  ["daytona.Pty"] = {
    send_input = "pty:write(bytes)", on_data = "pty:chunks(), pty:lines()", is_connected = "pty.ended",
    wait_for_connection = "nothing: sb:pty returns when it is", session_id = "pty.id",
  },
  ["daytona.Image"] = {
    pip_install = "image:pip_install { packages }",
    pip_install_from_requirements = "image:pip_install_from_requirements(path)",
    pip_install_from_pyproject = "image:pip_install_from_pyproject(path, groups)",
    add_local_file = "image:add_local_file(path, target)", add_local_dir = "image:add_local_dir(path, target)",
    run_commands = "image:run_commands { commands }", work_dir = "image:workdir(path)",
    dockerfile_commands = "image:dockerfile_commands { lines }",
  },
  ["daytona.Images"] = {
    debian_slim = "daytona.image.debian_slim(version)", from_dockerfile = "daytona.image.from_dockerfile(path)",
  },
  ["daytona.Client"] = {
    snapshot = "client.snapshots", volume = "client.volumes", secret = "client.secrets",
    warm_pool = "client.warm_pools",
    find_one = "client:get(id_or_name), or the first of client:each(filter)", get_current_sandbox = "client:get(id)",
    remove = "client:delete(id)",
  },
}

local function snake(name)
  return (name:gsub("^_+", ""):gsub("(%l)(%u)", "%1_%2"):lower())
end

local process

-- A field of others' objects that ours has not: any name in it says what to write.
local function process_stub()
  process = process or setmetatable({}, {
    __index = function(_, name)
      local ours = type(name) == "string" and NAMES["sandbox.process"][snake(name)]
      if not ours then errors.misuse(1, "there is no sandbox.process: see sb:exec, sb:run, sb:session, sb:pty") end
      errors.misuse(1, "sandbox.process.%s is %s here", name, ours)
    end,
    __tostring = function() return "no object: see sb:exec, sb:run, sb:session, sb:pty" end,
  })
  return process
end

-- Class -> name -> what says the same, or false.
local known = {}

---What a class gives for a name that is not in it: nil; raises at the caller's line where
---that is another client's name for something.
---@param class_name string
---@param usage string  how programs write such an object
---@param name any
---@return any
function M.look(class_name, usage, name)
  local seen = known[class_name]
  if not seen then
    seen = {}
    known[class_name] = seen
  end
  local ours = seen[name]
  if ours == nil then
    ours = type(name) == "string" and (NAMES[class_name] or {})[snake(name)] or false
    if class_name == "daytona.Sandbox" and name == "process" then return process_stub() end
    seen[name] = ours
  end
  if ours then errors.misuse(1, "%s.%s is %s here", usage, name, ours) end
end

return M
