//! What only a deadline of the server ends. These tests wait for seconds and compute nothing, so they wait together.

use super::{authorize, grant, ground, login, provider, publish};

#[tokio::test]
async fn d_005_d_022_d_023_d_024_d_043_d_044_whatever_waits_for_a_deadline() {
    tokio::join!(
        authorize::d_005_a_login_that_nobody_comes_to_ends_everywhere(),
        authorize::d_005_one_socket_with_several_expired_sessions_is_closed(),
        grant::d_043_a_rotated_refresh_token_that_the_store_would_not_keep_is_kept_when_it_will(),
        grant::d_043_a_store_that_cannot_write_does_not_cost_the_refresh_token(),
        grant::d_043_a_login_that_has_ended_is_told_by_a_store_that_stumbled(),
        grant::d_024_a_store_that_stumbles_at_a_login_does_not_cost_it(),
        ground::a_head_that_never_ends_is_cut(),
        ground::a_body_that_never_ends_is_cut(),
        login::d_022_a_device_that_stays_away_costs_no_code(),
        provider::d_023_the_token_endpoint_never_answers(),
        publish::d_044_a_provider_that_does_not_revoke_keeps_no_session_alive(),
    );
}
