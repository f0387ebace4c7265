-- The operations that the service publishes, as of its client packages 0.231 (control
-- plane), 0.226 (toolbox, analytics): service, method, path, and since which version where
-- that is later than 0.190.1. The measure of what the library reaches.

local LIST = [[
analytics GET /organization/{organizationId}/sandbox/{sandboxId}/telemetry/logs <=0.205.1
analytics GET /organization/{organizationId}/sandbox/{sandboxId}/telemetry/metrics <=0.205.1
analytics GET /organization/{organizationId}/sandbox/{sandboxId}/telemetry/traces <=0.205.1
analytics GET /organization/{organizationId}/sandbox/{sandboxId}/telemetry/traces/{traceId} <=0.205.1
analytics GET /organization/{organizationId}/sandbox/{sandboxId}/usage <=0.205.1
analytics GET /organization/{organizationId}/usage/aggregated <=0.205.1
analytics GET /organization/{organizationId}/usage/chart <=0.205.1
analytics GET /organization/{organizationId}/usage/sandbox <=0.205.1
api GET /api-keys
api POST /api-keys
api GET /api-keys/current
api DELETE /api-keys/{name}
api GET /api-keys/{name}
api DELETE /api-keys/{userId}/{name}
api GET /audit/organizations/{organizationId}
api GET /audit/scenarios 0.204.0
api GET /config
api GET /docker-registry
api POST /docker-registry
api GET /docker-registry/registry-push-access
api DELETE /docker-registry/{id}
api GET /docker-registry/{id}
api PATCH /docker-registry/{id}
api GET /health
api GET /health/ready
api GET /jobs
api GET /jobs/poll
api GET /jobs/{jobId}
api POST /jobs/{jobId}/status
api GET /object-storage/push-access
api GET /organizations
api POST /organizations
api GET /organizations/invitations
api GET /organizations/invitations/count
api POST /organizations/invitations/{invitationId}/accept
api POST /organizations/invitations/{invitationId}/decline
api GET /organizations/otel-config/by-sandbox-auth-token/{authToken}
api GET /organizations/sandbox-identity/by-sandbox-auth-token/{authToken} 0.216.1
api DELETE /organizations/{organizationId}
api GET /organizations/{organizationId}
api GET /organizations/{organizationId}/available-sandbox-classes 0.200.2
api PATCH /organizations/{organizationId}/default-queue-timeout 0.220.0
api PATCH /organizations/{organizationId}/default-region
api PUT /organizations/{organizationId}/experimental-config
api GET /organizations/{organizationId}/gpu-capacity 0.216.1
api GET /organizations/{organizationId}/identity-providers 0.204.0
api POST /organizations/{organizationId}/identity-providers 0.204.0
api POST /organizations/{organizationId}/identity-providers/test-connection 0.204.0
api POST /organizations/{organizationId}/identity-providers/workos-admin-portal-link 0.216.1
api GET /organizations/{organizationId}/identity-providers/workos-sso-connections 0.216.1
api DELETE /organizations/{organizationId}/identity-providers/{id} 0.204.0
api GET /organizations/{organizationId}/identity-providers/{id} 0.204.0
api PATCH /organizations/{organizationId}/identity-providers/{id} 0.204.0
api GET /organizations/{organizationId}/invitations
api POST /organizations/{organizationId}/invitations
api PUT /organizations/{organizationId}/invitations/{invitationId}
api POST /organizations/{organizationId}/invitations/{invitationId}/cancel
api POST /organizations/{organizationId}/leave
api DELETE /organizations/{organizationId}/otel-config
api GET /organizations/{organizationId}/otel-config
api PUT /organizations/{organizationId}/otel-config
api GET /organizations/{organizationId}/roles
api POST /organizations/{organizationId}/roles
api DELETE /organizations/{organizationId}/roles/{roleId}
api PUT /organizations/{organizationId}/roles/{roleId}
api GET /organizations/{organizationId}/usage
api GET /organizations/{organizationId}/users
api DELETE /organizations/{organizationId}/users/{userId}
api POST /organizations/{organizationId}/users/{userId}/access
api GET /preview/{sandboxId}/access
api GET /preview/{sandboxId}/preview-warning 0.200.2
api GET /preview/{sandboxId}/public
api GET /preview/{sandboxId}/signing-key 0.203.0
api GET /preview/{sandboxId}/validate/{authToken}
api GET /preview/{signedPreviewToken}/{port}/sandbox-id
api GET /regions
api POST /regions
api DELETE /regions/{id}
api GET /regions/{id}
api PATCH /regions/{id}
api POST /regions/{id}/regenerate-proxy-api-key
api POST /regions/{id}/regenerate-snapshot-manager-credentials
api POST /regions/{id}/regenerate-ssh-gateway-api-key
api GET /runners
api POST /runners
api GET /runners/by-sandbox/{sandboxId}
api GET /runners/by-snapshot-ref
api POST /runners/healthcheck
api GET /runners/me
api GET /runners/me/snapshots 0.204.0
api DELETE /runners/{id}
api GET /runners/{id}
api PATCH /runners/{id}/draining
api GET /runners/{id}/full
api PATCH /runners/{id}/scheduling
api GET /sandbox
api POST /sandbox
api GET /sandbox/for-runner
api GET /sandbox/ssh-access/validate
api DELETE /sandbox/{sandboxIdOrName}
api GET /sandbox/{sandboxIdOrName}
api GET /sandbox/{sandboxIdOrName}/ancestors
api POST /sandbox/{sandboxIdOrName}/archive
api POST /sandbox/{sandboxIdOrName}/autoarchive/{interval}
api POST /sandbox/{sandboxIdOrName}/autodelete/{interval}
api POST /sandbox/{sandboxIdOrName}/autopause/{interval} 0.200.2
api POST /sandbox/{sandboxIdOrName}/autostop/{interval}
api POST /sandbox/{sandboxIdOrName}/backup
api GET /sandbox/{sandboxIdOrName}/build-logs
api GET /sandbox/{sandboxIdOrName}/build-logs-url
api POST /sandbox/{sandboxIdOrName}/fork
api GET /sandbox/{sandboxIdOrName}/forks
api PUT /sandbox/{sandboxIdOrName}/labels
api POST /sandbox/{sandboxIdOrName}/network-settings
api GET /sandbox/{sandboxIdOrName}/parent
api POST /sandbox/{sandboxIdOrName}/pause
api GET /sandbox/{sandboxIdOrName}/ports/{port}/preview-url
api GET /sandbox/{sandboxIdOrName}/ports/{port}/signed-preview-url
api POST /sandbox/{sandboxIdOrName}/ports/{port}/signed-preview-url/{token}/expire
api POST /sandbox/{sandboxIdOrName}/public/{isPublic}
api POST /sandbox/{sandboxIdOrName}/recover
api POST /sandbox/{sandboxIdOrName}/resize
api PUT /sandbox/{sandboxIdOrName}/secrets 0.196.0
api POST /sandbox/{sandboxIdOrName}/snapshot
api DELETE /sandbox/{sandboxIdOrName}/ssh-access
api POST /sandbox/{sandboxIdOrName}/ssh-access
api POST /sandbox/{sandboxIdOrName}/start
api POST /sandbox/{sandboxIdOrName}/stop
api POST /sandbox/{sandboxIdOrName}/ttl/{ttlMinutes} 0.200.2
api POST /sandbox/{sandboxId}/last-activity
api GET /sandbox/{sandboxId}/organization
api GET /sandbox/{sandboxId}/region-quota
api GET /sandbox/{sandboxId}/secrets 0.196.0
api GET /sandbox/{sandboxId}/signing-key 0.203.0
api POST /sandbox/{sandboxId}/signing-key/rotate 0.203.0
api PUT /sandbox/{sandboxId}/state
api GET /sandbox/{sandboxId}/telemetry/logs
api GET /sandbox/{sandboxId}/telemetry/metrics
api GET /sandbox/{sandboxId}/telemetry/traces
api GET /sandbox/{sandboxId}/telemetry/traces/{traceId}
api GET /sandbox/{sandboxId}/toolbox-proxy-url
api GET /secret 0.196.0
api POST /secret 0.196.0
api GET /secret/paginated 0.196.0
api DELETE /secret/{secretId} 0.196.0
api GET /secret/{secretId} 0.196.0
api PATCH /secret/{secretId} 0.196.0
api GET /shared-regions
api GET /snapshots
api POST /snapshots
api DELETE /snapshots/{id}
api GET /snapshots/{id}
api POST /snapshots/{id}/activate
api GET /snapshots/{id}/build-logs
api GET /snapshots/{id}/build-logs-url
api POST /snapshots/{id}/deactivate
api GET /users/account-providers 0.216.1
api POST /users/linked-accounts
api GET /users/me
api POST /users/me/logins 0.216.1
api GET /users/me/pending-sso-links 0.204.0
api DELETE /users/me/pending-sso-links/{id} 0.204.0
api POST /users/me/pending-sso-links/{id}/confirm 0.204.0
api POST /users/privacy-policies/accept 0.216.1
api GET /volumes
api POST /volumes
api GET /volumes/by-name/{name}
api DELETE /volumes/{volumeId}
api GET /volumes/{volumeId}
api GET /warm-pools 0.203.0
api POST /warm-pools 0.203.0
api DELETE /warm-pools/{id} 0.203.0
api PATCH /warm-pools/{id} 0.203.0
api POST /webhooks/organizations/{organizationId}/app-portal-access
api GET /webhooks/organizations/{organizationId}/initialization-status
api POST /webhooks/organizations/{organizationId}/initialize
api POST /webhooks/organizations/{organizationId}/refresh-endpoints
toolbox POST /computeruse/a11y/find
toolbox POST /computeruse/a11y/node/focus
toolbox POST /computeruse/a11y/node/invoke
toolbox POST /computeruse/a11y/node/value
toolbox GET /computeruse/a11y/tree
toolbox GET /computeruse/display/info
toolbox GET /computeruse/display/windows
toolbox POST /computeruse/keyboard/down 0.223.0
toolbox POST /computeruse/keyboard/hotkey
toolbox POST /computeruse/keyboard/key
toolbox POST /computeruse/keyboard/type
toolbox POST /computeruse/keyboard/up 0.223.0
toolbox POST /computeruse/mouse/click
toolbox POST /computeruse/mouse/down 0.223.0
toolbox POST /computeruse/mouse/drag
toolbox POST /computeruse/mouse/move
toolbox GET /computeruse/mouse/position
toolbox POST /computeruse/mouse/scroll
toolbox POST /computeruse/mouse/up 0.223.0
toolbox GET /computeruse/process-status
toolbox GET /computeruse/process/{processName}/errors
toolbox GET /computeruse/process/{processName}/logs
toolbox POST /computeruse/process/{processName}/restart
toolbox GET /computeruse/process/{processName}/status
toolbox GET /computeruse/recordings
toolbox POST /computeruse/recordings/start
toolbox POST /computeruse/recordings/stop
toolbox DELETE /computeruse/recordings/{id}
toolbox GET /computeruse/recordings/{id}
toolbox GET /computeruse/recordings/{id}/download
toolbox GET /computeruse/screenshot
toolbox GET /computeruse/screenshot/compressed
toolbox GET /computeruse/screenshot/region
toolbox GET /computeruse/screenshot/region/compressed
toolbox POST /computeruse/start
toolbox GET /computeruse/status
toolbox POST /computeruse/stop
toolbox POST /env 0.200.2
toolbox DELETE /files
toolbox GET /files
toolbox POST /files/bulk-download
toolbox POST /files/bulk-upload
toolbox GET /files/download
toolbox GET /files/find
toolbox POST /files/folder
toolbox GET /files/info
toolbox POST /files/move
toolbox POST /files/permissions
toolbox POST /files/replace
toolbox GET /files/search
toolbox POST /files/upload-v2
toolbox POST /git/add
toolbox DELETE /git/branches
toolbox GET /git/branches
toolbox POST /git/branches
toolbox POST /git/checkout
toolbox POST /git/clone
toolbox POST /git/commit
toolbox GET /git/config 0.200.2
toolbox POST /git/config 0.200.2
toolbox POST /git/config/user 0.200.2
toolbox POST /git/credentials 0.200.2
toolbox GET /git/history
toolbox POST /git/init 0.200.2
toolbox POST /git/pull
toolbox POST /git/push
toolbox GET /git/remotes 0.200.2
toolbox POST /git/remotes 0.200.2
toolbox POST /git/reset 0.200.2
toolbox POST /git/restore 0.200.2
toolbox GET /git/status
toolbox POST /init
toolbox POST /lsp/completions
toolbox POST /lsp/did-close
toolbox POST /lsp/did-open
toolbox GET /lsp/document-symbols
toolbox POST /lsp/start
toolbox POST /lsp/stop
toolbox GET /lsp/workspacesymbols
toolbox GET /port
toolbox GET /port/{port}/in-use
toolbox POST /process/code-run
toolbox POST /process/execute
toolbox GET /process/interpreter/context
toolbox POST /process/interpreter/context
toolbox DELETE /process/interpreter/context/{id}
toolbox GET /process/interpreter/execute
toolbox GET /process/pty
toolbox POST /process/pty
toolbox DELETE /process/pty/{sessionId}
toolbox GET /process/pty/{sessionId}
toolbox GET /process/pty/{sessionId}/connect
toolbox POST /process/pty/{sessionId}/resize
toolbox GET /process/session
toolbox POST /process/session
toolbox GET /process/session/entrypoint
toolbox GET /process/session/entrypoint/logs
toolbox DELETE /process/session/{sessionId}
toolbox GET /process/session/{sessionId}
toolbox GET /process/session/{sessionId}/command/{commandId}
toolbox POST /process/session/{sessionId}/command/{commandId}/input
toolbox GET /process/session/{sessionId}/command/{commandId}/logs
toolbox POST /process/session/{sessionId}/exec
toolbox GET /system/metrics 0.200.2
toolbox GET /user-home-dir
toolbox GET /version
toolbox GET /work-dir
]]

local M = { list = {}, by_name = {} }

---"GET /sandbox/{}/forks": a method and a path, whatever its ids are called.
---@param method string
---@param path string
---@return string
function M.name(method, path)
  return method .. " " .. path:gsub("{[^}]*}", "{}")
end

for line in LIST:gmatch "[^\n]+" do
  local service, method, path, since = line:match "^(%S+) (%S+) (%S+) ?(%S*)$"
  local operation = { service = service, method = method, path = path, since = since ~= "" and since or nil }
  M.list[#M.list + 1] = operation
  M.by_name[M.name(method, path)] = operation
end

return M
