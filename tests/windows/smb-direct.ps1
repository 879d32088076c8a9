# NOT RUN by the project: its machines are Linux.
# Copies a file to a share over SMB Direct and checks that RDMA carried it.
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    # A share on a server with an RDMA adapter in the same subnet, such as \\10.0.0.2\test.
    [Parameter(Mandatory)] [string] $Share,
    [int] $Megabytes = 1024
)
$ErrorActionPreference = 'Stop'

$adapter = Get-NetAdapter -InterfaceDescription 'vrnic*' | Select-Object -First 1
$interface = Get-SmbClientNetworkInterface | Where-Object InterfaceIndex -EQ $adapter.ifIndex
if (-not $interface.RdmaCapable) { throw "SMB does not take $($adapter.Name) for an RDMA adapter" }

$file = New-TemporaryFile
try {
    $bytes = [byte[]]::new(1MB)
    [Random]::new(1).NextBytes($bytes)
    $stream = $file.OpenWrite()
    for ($i = 0; $i -lt $Megabytes; $i++) { $stream.Write($bytes, 0, $bytes.Length) }
    $stream.Close()

    $before = Get-NetAdapterStatistics -Name $adapter.Name
    $time = Measure-Command { Copy-Item $file (Join-Path $Share 'vrnic-test.bin') }
    $connections = Get-SmbMultichannelConnection | Where-Object ClientInterfaceIndex -EQ $adapter.ifIndex
    $connections | Format-Table ServerName, ClientIpAddress, ServerIpAddress, ClientRdmaCapable, ServerRdmaCapable, CurrentChannels
    if (-not ($connections.ClientRdmaCapable -and $connections.ServerRdmaCapable)) { throw 'The connection is TCP, not RDMA.' }
    netstat -xan

    $back = New-TemporaryFile
    Copy-Item (Join-Path $Share 'vrnic-test.bin') $back -Force
    if ((Get-FileHash $file).Hash -ne (Get-FileHash $back).Hash) { throw 'The copy differs.' }
    Remove-Item $back, (Join-Path $Share 'vrnic-test.bin')
    $after = Get-NetAdapterStatistics -Name $adapter.Name
    '{0:N0} MB/s there; {1:N0} bytes sent in all' -f ($Megabytes / $time.TotalSeconds), ($after.SentBytes - $before.SentBytes)
    # Connects, disconnects and errors of SMB Direct's client.
    Get-WinEvent -LogName 'Microsoft-Windows-SmbClient/Connectivity' -MaxEvents 20 | Format-Table TimeCreated, Id, Message -Wrap
} finally {
    Remove-Item $file
}
