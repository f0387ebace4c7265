// nginx with its Lua module, from a configuration of conformance/.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { until } from './steps.js'

const path = `${process.env.PATH}:/usr/sbin:/sbin`
const root = resolve('..')

// Whether it can be started.
export function hasNginx() {
  return existsSync(join(root, 'build/luajit/daytona/core.so')) &&
    existsSync('/usr/lib/nginx/modules/ngx_http_lua_module.so') &&
    spawnSync('nginx', ['-v'], { env: { ...process.env, PATH: path } }).status === 0
}

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

function listens(port) {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => { socket.destroy(); done(true) })
    socket.on('error', () => done(false))
  })
}

// Starts it: its port, and `stop`, which gives what the error log complains about.
export async function startNginx(env) {
  const folder = mkdtempSync(join(tmpdir(), 'interop-nginx-'))
  const port = await freePort()
  const text = readFileSync('conformance/nginx.conf', 'utf8')
    .replaceAll('PORT', port).replaceAll('FOLDER', folder).replaceAll('ROOT', root)
  writeFileSync(join(folder, 'nginx.conf'), text)
  const server = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')],
    { env: { ...process.env, ...env, PATH: path }, stdio: 'inherit' })
  const ended = new Promise((done) => server.on('exit', done))
  await until(() => listens(port), 'nginx')
  const stop = async () => {
    server.kill('SIGQUIT')
    await ended
    const log = readFileSync(join(folder, 'error.log'), 'utf8')
    rmSync(folder, { recursive: true })
    return log.split('\n').filter((line) => /\[(error|crit|alert|emerg)\]/.test(line)).join('\n')
  }
  return { port, stop }
}
