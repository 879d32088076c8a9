# NOT RUN by the project: its machines are Linux.
# Driver Verifier for vrnic.sys. Each change takes effect after a restart.
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [ValidateSet('On', 'LowResources', 'Off', 'Show')] [string] $Do
)
$ErrorActionPreference = 'Stop'

# The standard options (0x209BB) and NDIS/WIFI verification (bit 21).
$standard = 0x209BB
$ndis = 0x200000
# Random failures of allocations (bit 2).
$low = 0x4

switch ($Do) {
    'On' { verifier /flags ('0x{0:X}' -f ($standard -bor $ndis)) /driver vrnic.sys }
    'LowResources' { verifier /flags ('0x{0:X}' -f ($standard -bor $ndis -bor $low)) /driver vrnic.sys }
    'Off' { verifier /reset }
    'Show' { verifier /query; verifier /querysettings }
}
# 2: done, and a restart is needed.
if ($LASTEXITCODE -notin 0, 2) { throw "verifier failed ($LASTEXITCODE)" }
if ($Do -ne 'Show') { Write-Host 'Restart to make it so. A rule that the driver breaks stops Windows with bug check 0xC4 or 0xC9.' }
