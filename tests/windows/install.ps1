# NOT RUN by the project: its machines are Linux.
# Installs a driver package on a test machine. Turn Secure Boot off first: with it, Windows keeps test signing off.
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    # The folder that ./x package printed; vrnic-test.cer is beside it, unless your own key signed.
    [Parameter(Mandatory)] [string] $Package
)
$ErrorActionPreference = 'Stop'

$certificate = Join-Path (Split-Path -Parent (Resolve-Path $Package)) 'vrnic-test.cer'
if (Test-Path $certificate) {
    # The root store, so that the chain ends there; the publishers, so that nobody is asked.
    Import-Certificate -FilePath $certificate -CertStoreLocation Cert:\LocalMachine\Root | Out-Null
    Import-Certificate -FilePath $certificate -CertStoreLocation Cert:\LocalMachine\TrustedPublisher | Out-Null
    $isOn = (bcdedit /enum '{current}') -match 'testsigning\s+Yes'
    if (-not $isOn) {
        bcdedit /set testsigning on
        if ($LASTEXITCODE -ne 0) { throw 'Windows refuses test signing: is Secure Boot on?' }
        Write-Host 'Test signing is on after a restart. Restart, and run this again.'
        return
    }
}

pnputil /add-driver (Join-Path $Package 'vrnic.inf') /install
# 259: the driver is in the store, and there is no device for it yet.
if ($LASTEXITCODE -notin 0, 259, 3010) { throw "pnputil failed ($LASTEXITCODE); see C:\Windows\INF\setupapi.dev.log" }

$devices = Get-PnpDevice -PresentOnly | Where-Object { $_.HardwareID -like 'PCI\VEN_1AF4&DEV_10F0*' }
if (-not $devices) { throw 'There is no vrnic device in this machine.' }
$devices | Format-Table FriendlyName, Status, Problem, InstanceId
if ($devices.Status -ne 'OK') { throw 'A device does not work; Get-WinEvent -LogName System has the reason.' }
Get-NetAdapter -InterfaceDescription 'vrnic*' | Format-Table Name, Status, LinkSpeed, DriverVersion
