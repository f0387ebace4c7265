// A git repository on this machine, served read-only as plain files; below
// /private it wants the user ada with the password secret.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

function make(folder) {
  const git = (...args) => execFileSync('git', args, { cwd: folder, stdio: 'pipe' })
  const who = ['-c', 'user.name=Interop', '-c', 'user.email=interop@example.org']
  git('init', '-q', '-b', 'main', 'work')
  writeFileSync(join(folder, 'work', 'hello.txt'), 'hello from git\n')
  git('-C', 'work', 'add', '.')
  git('-C', 'work', ...who, 'commit', '-q', '-m', 'first')
  git('-C', 'work', 'checkout', '-q', '-b', 'feature')
  writeFileSync(join(folder, 'work', 'feature.txt'), 'a branch\n')
  git('-C', 'work', 'add', '.')
  git('-C', 'work', ...who, 'commit', '-q', '-m', 'second')
  git('-C', 'work', 'checkout', '-q', 'main')
  git('clone', '-q', '--bare', 'work', 'repo.git')
  git('-C', 'repo.git', 'update-server-info')
}

// Makes it in `folder`; returns { url, close }.
export async function serveRepository(folder) {
  make(folder)
  const basic = 'Basic ' + Buffer.from('ada:secret').toString('base64')
  const server = createServer((request, response) => {
    let path = new URL(request.url, 'http://x').pathname
    if (path.startsWith('/private/')) {
      if (request.headers.authorization !== basic) {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
        return
      }
      path = path.slice('/private'.length)
    }
    try {
      response.end(readFileSync(join(folder, path)))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
