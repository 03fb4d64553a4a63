import Testing

@testable import Netboot

@Suite struct NetworkInterfaceTests {
    @Test func findsAddressAndPrefixOfAnInterface() throws {
        let loopback = try NetworkInterface.find("lo")
        #expect(loopback.address == "127.0.0.1")
        #expect(loopback.prefixLength == 8)
        #expect(loopback.isUp)
    }

    @Test func namesTheInterfacesThereAreWhenThereIsNoSuchOne() throws {
        let error = try #require(throws: NetbootError.self) {
            try NetworkInterface.find("no-such\nthing")
        }
        #expect(error.code == .noInterface)
        #expect(error.message.contains("there are: ") && error.message.contains("lo"))
    }
}
