"""The part of GitHub's public GraphQL schema that is answered here, in its own words."""

from __future__ import annotations

from graphql import build_schema

SCHEMA = build_schema("""
scalar GitObjectID
scalar DateTime
scalar URI
scalar BigInt
enum OrderDirection { ASC DESC }
enum IssueOrderField { CREATED_AT UPDATED_AT COMMENTS }
enum PullRequestState { OPEN CLOSED MERGED }
enum PullRequestReviewState { PENDING COMMENTED APPROVED CHANGES_REQUESTED DISMISSED }
enum RuleEnforcement { DISABLED ACTIVE EVALUATE }
enum RepositoryRulesetBypassActorBypassMode { ALWAYS PULL_REQUEST EXEMPT }
enum RepositoryRuleType {
  CREATION UPDATE DELETION NON_FAST_FORWARD PULL_REQUEST REQUIRED_STATUS_CHECKS MERGE_QUEUE
}
enum PullRequestMergeMethod { MERGE SQUASH REBASE }
input IssueOrder { field: IssueOrderField! direction: OrderDirection! }
interface Actor { login: String! }
type User implements Actor { login: String! databaseId: Int }
type Bot implements Actor { login: String! databaseId: Int }
type Organization implements Actor {
  login: String! databaseId: Int team(slug: String!): Team
}
type Team { slug: String! members(first: Int, after: String): TeamMemberConnection! }
type TeamMemberConnection { nodes: [User] pageInfo: PageInfo! totalCount: Int! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
interface GitObject { oid: GitObjectID! }
type Blob implements GitObject { oid: GitObjectID! }
type Commit implements GitObject {
  oid: GitObjectID!
  associatedPullRequests(first: Int, after: String): PullRequestConnection
  deployments(first: Int, orderBy: DeploymentOrder): DeploymentConnection
}
enum DeploymentStatusState {
  ERROR FAILURE INACTIVE IN_PROGRESS PENDING QUEUED SUCCESS WAITING
}
enum DeploymentOrderField { CREATED_AT }
input DeploymentOrder { field: DeploymentOrderField! direction: OrderDirection! }
type DeploymentStatus { state: DeploymentStatusState! }
type Deployment {
  databaseId: Int commitOid: String! environment: String payload: String
  creator: Actor! latestStatus: DeploymentStatus
}
type DeploymentConnection { nodes: [Deployment] pageInfo: PageInfo! totalCount: Int! }
type Ref { name: String! target: GitObject }
type RefConnection { nodes: [Ref] pageInfo: PageInfo! totalCount: Int! }
type PullRequestReview {
  id: ID! databaseId: Int fullDatabaseId: BigInt author: Actor commit: Commit body: String!
  state: PullRequestReviewState! submittedAt: DateTime
}
type PullRequestReviewConnection {
  nodes: [PullRequestReview] pageInfo: PageInfo! totalCount: Int!
}
type IssueComment { id: ID! databaseId: Int author: Actor body: String! updatedAt: DateTime! }
type IssueCommentConnection { nodes: [IssueComment] pageInfo: PageInfo! totalCount: Int! }
type MergeQueueEntry { position: Int! }
type AutoMergeRequest { enabledAt: DateTime }
type PullRequest {
  id: ID! number: Int! title: String! body: String! url: URI!
  headRefName: String! headRefOid: GitObjectID! baseRefName: String! baseRefOid: GitObjectID!
  isCrossRepository: Boolean! state: PullRequestState! updatedAt: DateTime!
  author: Actor mergedBy: Actor mergedAt: DateTime mergeCommit: Commit
  reviews(first: Int, after: String): PullRequestReviewConnection
  comments(first: Int, after: String): IssueCommentConnection!
  mergeQueueEntry: MergeQueueEntry autoMergeRequest: AutoMergeRequest
}
type PullRequestConnection { nodes: [PullRequest] pageInfo: PageInfo! totalCount: Int! }
type RefNameConditionTarget { include: [String!]! exclude: [String!]! }
type RepositoryRuleConditions { refName: RefNameConditionTarget }
type App { databaseId: Int }
union BypassActor = App | Team | User
type RepositoryRulesetBypassActor {
  actor: BypassActor bypassMode: RepositoryRulesetBypassActorBypassMode
}
type RepositoryRulesetBypassActorConnection { nodes: [RepositoryRulesetBypassActor] }
type PullRequestParameters {
  requiredApprovingReviewCount: Int! dismissStaleReviewsOnPush: Boolean!
  requireLastPushApproval: Boolean! requireCodeOwnerReview: Boolean!
}
union RuleParameters = PullRequestParameters
type RepositoryRule { type: RepositoryRuleType! parameters: RuleParameters }
type RepositoryRuleConnection { nodes: [RepositoryRule] }
type RepositoryRuleset {
  name: String! databaseId: Int enforcement: RuleEnforcement!
  conditions: RepositoryRuleConditions!
  bypassActors(first: Int): RepositoryRulesetBypassActorConnection
  rules(first: Int): RepositoryRuleConnection
}
type RepositoryRulesetConnection { nodes: [RepositoryRuleset] pageInfo: PageInfo! }
type MergeQueue { id: ID! }
type Repository {
  id: ID! databaseId: Int name: String! description: String pushedAt: DateTime
  defaultBranchRef: Ref
  object(oid: GitObjectID): GitObject
  refs(refPrefix: String!, first: Int, after: String): RefConnection
  pullRequest(number: Int!): PullRequest
  pullRequests(
    first: Int, after: String, states: [PullRequestState!], headRefName: String,
    baseRefName: String, orderBy: IssueOrder
  ): PullRequestConnection!
  rulesets(first: Int, after: String, includeParents: Boolean): RepositoryRulesetConnection
  mergeQueue(branch: String): MergeQueue
}
type RateLimit { cost: Int! remaining: Int! limit: Int! }
type Query {
  viewer: User!
  repository(owner: String!, name: String!): Repository
  organization(login: String!): Organization
  rateLimit: RateLimit
}
input EnablePullRequestAutoMergeInput {
  pullRequestId: ID! mergeMethod: PullRequestMergeMethod expectedHeadOid: GitObjectID
  commitHeadline: String commitBody: String
}
input EnqueuePullRequestInput { pullRequestId: ID! expectedHeadOid: GitObjectID }
type EnablePullRequestAutoMergePayload { pullRequest: PullRequest }
type EnqueuePullRequestPayload { mergeQueueEntry: MergeQueueEntry }
type Mutation {
  enablePullRequestAutoMerge(
    input: EnablePullRequestAutoMergeInput!
  ): EnablePullRequestAutoMergePayload
  enqueuePullRequest(input: EnqueuePullRequestInput!): EnqueuePullRequestPayload
}
""")
