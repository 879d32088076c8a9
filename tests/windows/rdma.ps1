# NOT RUN by the project: its machines are Linux.
# What Windows thinks of the adapter's RDMA, and NDKPing between it and a peer.
#Requires -RunAsAdministrator
[CmdletBinding(DefaultParameterSetName = 'Look')]
param(
    # The adapter's name in Windows.
    [string] $Adapter = (Get-NetAdapter -InterfaceDescription 'vrnic*' | Select-Object -First 1).Name,
    # Wait for a client at this address of the adapter…
    [Parameter(Mandatory, ParameterSetName = 'Server')] [string] $Listen,
    # …or ping the server at this address.
    [Parameter(Mandatory, ParameterSetName = 'Client')] [string] $Connect,
    [int] $Port = 9000,
    # NDKPing.exe: Windows Server has it as a feature; NDKPing.sys must be beside it elsewhere.
    [string] $NdkPing = 'NDKPing.exe'
)
$ErrorActionPreference = 'Stop'

$nic = Get-NetAdapter -Name $Adapter
$rdma = Get-NetAdapterRdma -Name $Adapter
$rdma | Format-List *
if (-not $rdma.Enabled) { throw "RDMA is off: Enable-NetAdapterRdma -Name '$Adapter'" }
Get-NetAdapterAdvancedProperty -Name $Adapter -AllProperties | Format-Table RegistryKeyword, RegistryValue, DefaultRegistryValue

# Listeners, connections and shared endpoints of all NDK consumers. SMB's server listens on port 445.
netstat -xan

$address = (Get-NetIPAddress -InterfaceIndex $nic.ifIndex -AddressFamily IPv4 | Select-Object -First 1).IPAddress
switch ($PSCmdlet.ParameterSetName) {
    'Server' { & $NdkPing -S -ServerAddr "${Listen}:$Port" -ServerIf $nic.ifIndex -TestType rping -W 60 }
    'Client' { & $NdkPing -C -ServerAddr "${Connect}:$Port" -ClientAddr $address -ClientIf $nic.ifIndex -TestType rping -V }
    'Look' { return }
}
if ($LASTEXITCODE -ne 0) { throw "NDKPing failed ($LASTEXITCODE)" }
Get-Counter -Counter '\RDMA Activity(*)\*' | Select-Object -ExpandProperty CounterSamples | Format-Table Path, CookedValue
