// Repositories: cloned over HTTP, and pushed to and pulled from one that is in
// the sandbox.
import assert from 'node:assert/strict'
import { step } from './steps.js'

async function cloning(sandbox, repository) {
  const read = async (path) => (await sandbox.fs.downloadFile(path)).toString()

  await step('clone a repository', async () => {
    await sandbox.git.clone(`${repository}/repo.git`, 'cloned')
    assert.equal(await read('cloned/hello.txt'), 'hello from git\n')
    await sandbox.git.clone(`${repository}/repo.git`, 'branch', 'feature')
    assert.equal(await read('branch/feature.txt'), 'a branch\n')
  })

  await step('clone one commit', async () => {
    const sha = (await sandbox.process.executeCommand('git -C cloned rev-parse HEAD')).result.trim()
    await sandbox.git.clone(`${repository}/repo.git`, 'commit', undefined, sha)
    const status = await sandbox.git.status('commit')
    assert.equal(status.detached, true)
  })

  await step('clone with a password, right and wrong', async () => {
    const url = `${repository}/private/repo.git`
    await sandbox.git.clone(url, 'private', undefined, undefined, 'ada', 'secret')
    assert.equal(await read('private/hello.txt'), 'hello from git\n')
    await assert.rejects(sandbox.git.clone(url, 'refused', undefined, undefined, 'ada', 'wrong'),
      (e) => e.statusCode === 401)
  })
}

async function committing(sandbox) {
  const git = sandbox.git

  await step('make a repository', async () => {
    await git.init('work', false, 'main')
    await git.init('hub.git', true, 'main')
    await assert.rejects(git.status('work'), (e) => e.statusCode === 404) // no commit yet
  })

  await step('add and commit', async () => {
    await sandbox.fs.uploadFiles([
      { source: Buffer.from('one\n'), destination: 'work/one.txt' },
      { source: Buffer.from('two\n'), destination: 'work/two.txt' },
    ])
    await git.add('work', ['one.txt'])
    const { sha } = await git.commit('work', 'first', 'Ada', 'ada@example.org')
    assert.match(sha, /^[0-9a-f]{40}$/)
    const state = async () => (await git.status('work')).fileStatus.map((f) => [f.name, f.staging, f.worktree])
    assert.deepEqual(await state(), [['two.txt', 'Untracked', 'Untracked']])
    await git.add('work', ['.'])
    assert.deepEqual((await state())[0].slice(0, 2), ['two.txt', 'Added'])
    await git.commit('work', 'second', 'Ada', 'ada@example.org')
    const status = await git.status('work')
    assert.deepEqual([status.currentBranch, status.fileStatus], ['main', []])
    assert.match((await git.commit('work', 'empty', 'Ada', 'ada@example.org', true)).sha, /^[0-9a-f]{40}$/)
    const log = await sandbox.process.executeCommand('git log --format="%an <%ae> %s"', 'work')
    assert.equal(log.result, 'Ada <ada@example.org> empty\nAda <ada@example.org> second\nAda <ada@example.org> first\n')
  })

  await step('branches', async () => {
    await git.createBranch('work', 'topic/one')
    await git.checkoutBranch('work', 'topic/one')
    const { branches, current } = await git.branches('work')
    assert.deepEqual(branches.sort(), ['main', 'topic/one'])
    if (current !== undefined) assert.equal(current, 'topic/one')
    await git.checkoutBranch('work', 'main')
    await git.deleteBranch('work', 'topic/one')
    assert.deepEqual((await git.branches('work')).branches, ['main'])
    await assert.rejects(git.checkoutBranch('work', 'none'))
  })

  await step('reset and restore', async () => {
    const staged = async () => (await git.status('work')).fileStatus.map((f) => f.staging)
    await sandbox.fs.uploadFile(Buffer.from('changed\n'), 'work/one.txt')
    await git.add('work', ['one.txt'])
    await git.restore('work', ['one.txt'], true)
    assert.deepEqual(await staged(), ['Unmodified'])
    await git.restore('work', ['one.txt'])
    assert.equal((await sandbox.fs.downloadFile('work/one.txt')).toString(), 'one\n')
    await git.reset('work', 'hard', 'HEAD~1')
    const log = await sandbox.process.executeCommand('git log --format=%s', 'work')
    assert.equal(log.result, 'second\nfirst\n')
  })
}

async function sharing(sandbox) {
  const git = sandbox.git
  const hub = (await sandbox.process.executeCommand('realpath hub.git')).result.trim()

  await step('remotes', async () => {
    await git.remoteAdd('work', 'origin', hub)
    assert.equal(await git.remoteGet('work', 'origin'), hub)
    assert.equal(await git.remoteGet('work', 'none'), undefined)
    assert.deepEqual((await git.remotes('work')).remotes.map((r) => [r.name, r.url]), [['origin', hub]])
    await assert.rejects(git.remoteAdd('work', 'origin', hub))
    await git.remoteAdd('work', 'origin', hub, false, true)
  })

  await step('push and pull', async () => {
    await git.push('work', undefined, undefined, 'main', 'origin', true)
    await git.clone(hub, 'second')
    await sandbox.fs.uploadFile(Buffer.from('three\n'), 'second/three.txt')
    await git.add('second', ['three.txt'])
    await git.commit('second', 'third', 'Grace', 'grace@example.org')
    const status = await git.status('second')
    assert.deepEqual([status.ahead, status.behind, status.branchPublished], [1, 0, true])
    await git.push('second')
    await git.pull('work')
    assert.equal((await sandbox.fs.downloadFile('work/three.txt')).toString(), 'three\n')
  })

  await step('settings', async () => {
    await git.setConfig('pull.rebase', 'true', 'local', 'work')
    assert.equal(await git.getConfig('pull.rebase', 'local', 'work'), 'true')
    assert.equal(await git.getConfig('no.such', 'local', 'work'), undefined)
    await git.setConfig('init.defaultbranch', 'trunk')
    assert.equal(await git.getConfig('init.defaultbranch'), 'trunk')
    await git.configureUser('Ada', 'ada@example.org', 'local', 'work')
    assert.equal(await git.getConfig('user.email', 'local', 'work'), 'ada@example.org')
  })

  await step('remembered credentials', async () => {
    await git.dangerouslyAuthenticate('ada', 'secret', 'git.example.org', 'https')
    const r = await sandbox.process.executeCommand(
      "printf 'protocol=https\\nhost=git.example.org\\n\\n' | git credential fill")
    assert.match(r.result, /username=ada\npassword=secret/)
  })

  await step('a folder that is no repository', async () => {
    await sandbox.fs.createFolder('plain', '755')
    await assert.rejects(git.status('plain'), (e) => e.statusCode >= 400 && e.statusCode < 500)
  })
}

export default async function (sandbox, { repository }) {
  await cloning(sandbox, repository)
  await committing(sandbox)
  await sharing(sandbox)
}
