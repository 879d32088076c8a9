# NOT RUN by the project: its machines are Linux.
# The adapter comes and goes while consumers use it: best with Driver Verifier on (verifier.ps1) and smb-direct.ps1 in another window.
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    [string] $Adapter = (Get-NetAdapter -InterfaceDescription 'vrnic*' | Select-Object -First 1).Name,
    [int] $Rounds = 20
)
$ErrorActionPreference = 'Stop'

function Wait-Up {
    foreach ($second in 1..30) {
        if ((Get-NetAdapter -Name $Adapter).Status -eq 'Up') { return }
        Start-Sleep -Seconds 1
    }
    throw "$Adapter is not up after 30 seconds"
}

foreach ($round in 1..$Rounds) {
    Write-Host "round $round of $Rounds"
    Disable-NetAdapterRdma -Name $Adapter
    Enable-NetAdapterRdma -Name $Adapter
    Wait-Up
    Restart-NetAdapter -Name $Adapter
    Wait-Up
    Disable-NetAdapter -Name $Adapter -Confirm:$false
    Enable-NetAdapter -Name $Adapter
    Wait-Up
    if (-not (Get-NetAdapterRdma -Name $Adapter).Enabled) { throw 'RDMA did not come back.' }
}
Get-WinEvent -FilterHashtable @{ LogName = 'System'; ProviderName = 'vrnic' } -MaxEvents 20 -ErrorAction SilentlyContinue |
    Format-Table TimeCreated, Id, Message -Wrap
