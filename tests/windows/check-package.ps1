# NOT RUN by the project: its machines are Linux.
# Microsoft's own judges on a driver package. Needs the WDK's and the SDK's tools on the path.
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    # The folder that ./x package printed.
    [Parameter(Mandatory)] [string] $Package
)
$ErrorActionPreference = 'Stop'

function Invoke-Judge([string] $Tool, [string[]] $Arguments) {
    Write-Host "> $Tool $Arguments"
    & $Tool @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Tool says no ($LASTEXITCODE)" }
}

$inf, $sys, $cat = 'vrnic.inf', 'vrnic.sys', 'vrnic.cat' | ForEach-Object { Join-Path $Package $_ }
# The rules for a driver that runs from the driver store.
Invoke-Judge infverif.exe @('/w', '/v', $inf)
# With the test certificate trusted (install.ps1): the driver's own signature, and both files in the catalog.
Invoke-Judge signtool.exe @('verify', '/v', '/pa', '/ph', $sys)
Invoke-Judge signtool.exe @('verify', '/v', '/pa', '/c', $cat, $sys)
Invoke-Judge signtool.exe @('verify', '/v', '/pa', '/c', $cat, $inf)
# What Windows reads in the catalog: four members, OSAttr 2:10.0, HWID1, OS.
Invoke-Judge certutil.exe @('-dump', $cat)
