// The suite that every Loop passes, whole: what instantiates it includes this.
#pragma once

#include "tests/unit/ztunnel/io/loop_ends.h"
#include "tests/unit/ztunnel/io/loop_events.h"
#include "tests/unit/ztunnel/io/loop_fixture.h"
#include "tests/unit/ztunnel/io/loop_listeners.h"
#include "tests/unit/ztunnel/io/loop_many.h"
#include "tests/unit/ztunnel/io/loop_transfer.h"
#include "tests/unit/ztunnel/io/loop_waits.h"

namespace weft::io {

REGISTER_TYPED_TEST_SUITE_P(
    LoopSuite, BytesArrive, ASendBeyondTheSocketBufferGoesOutWhole, GatheredPiecesArriveInOrder,
    AnEmptySendIsDoneAtOnce, AHalfClosedConnectionStillCarriesTheOtherDirection,
    ASlowReaderThatHasEndedItsOwnDirectionGetsEverything,
    ASendThatWaitsForOneThatHasEndedIsCancelled, AResetIsSeenAsEconnreset,
    IsBrokenTellsOfAResetThatNobodyReads, AResetReachesThePeerThoughAReceiveWasPending,
    CloseEndsAPendingReceiveAndSendsFin, SendingToAClosedPeerGivesClosedAndNoSignal,
    AReceiveGivesUpAtItsDeadline, ASendThatNobodyReadsGivesUpAtItsDeadline,
    CancelEndsAnOperationThatIsQueuedOrInFlight, SleepersWakeInOrderOfTheirTime,
    ReadableWaitsForBytesAndTakesNone, ConnectReachesAccept, ARefusedConnectIsUnreachable,
    ClosingAListenerEndsItsAccept, AnEventWakesAllItsWaitersAndStaysSet,
    AHookCancelsAReceiveWhenTheEventIsSet, PostedActsRunInOrder,
    AThousandConnectionsAtOnceGetTheirOwnAnswers, WithoutBuffersReadersWaitAndAreServedLater);

}  // namespace weft::io
